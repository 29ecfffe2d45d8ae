"""Parameters out of range, and those that contradict each other, are refused by name."""

import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner
from sktl.classifiers._parameters import CONSTRAINTS, check_together, input_augmentations

NETWORKS = [FineTunedClassifier, DomainAdaptiveClassifier, DANNClassifier, MMDAligner]


@pytest.mark.parametrize("cls", NETWORKS)
def test_every_parameter_has_its_constraint(cls):
    assert set(cls._parameter_constraints) == set(cls().get_params())
    assert set(CONSTRAINTS) == set(FineTunedClassifier().get_params())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("frozen_layers", [1.5, "some", None, {"blocks.0"}]),
        ("head", ["dense", 3, None]),
        ("layer_decay", [0.0, -1.0, 1.1, "linear"]),
        ("unfreeze_every", [0, 1.5, "auto"]),
        ("head_epochs", [-1, 1.5, "none", None]),
        ("l2_sp", [-0.1, None]),
        ("batch_norm", ["freeze", None, True]),
        ("lora", [0, 1.5, "all"]),
        ("label_smoothing", [-0.1, 1.0, None]),
        ("mixup", [-0.1, None]),
        ("spec_augment", [1, "auto", None]),
        ("augment", [True, "noise", [np.flip]]),
        ("cache", ["auto", 1, None]),
        ("lr", [0.0, -1e-3, "best", None]),
        ("lr_schedule", ["linear", None]),
        ("warmup_epochs", [-1, 0.5, None]),
        ("max_epochs", [0, 1.5, None]),
        ("batch_size", [0, 1.5, None]),
        ("optimizer", ["adamax", 3, None]),
        ("weight_decay", [-0.1, None]),
        ("average_epochs", [-1, 0.5, None]),
        ("class_weight", ["even", 2.0]),
        ("early_stopping", ["auto", 1, None]),
        ("validation_fraction", [0.0, 1.0, 5]),
        ("n_iter_no_change", [0, 1.5, None]),
        ("warm_start", ["auto", 1, None]),
        ("precision", ["16", 32, None]),
        ("callbacks", [{}, "print"]),
        ("net_params", [[], "verbose"]),
        ("n_jobs", [1.5, "all"]),
        ("verbose", ["yes", -1]),
        ("random_state", ["seed", -1]),
    ],
)
def test_values_out_of_range_are_refused(blobs, name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"The '{name}' parameter of FineTunedClassifier must"):
            FineTunedClassifier(**{name: value}).fit(*blobs[:2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head_epochs": 5, "max_epochs": 5}, "head_epochs=5 leaves none of max_epochs=5 epochs"),
        ({"warmup_epochs": 9, "max_epochs": 5}, "warmup_epochs=9 leaves none of max_epochs=5"),
        ({"head_epochs": "solve", "head": "cosine"}, "head_epochs='solve' needs a linear head"),
        ({"lr_schedule": "one_cycle", "warmup_epochs": 1}, "'one_cycle' rises by itself"),
        ({"average_epochs": 51}, "average_epochs=51 but max_epochs=50; give at most 50"),
        ({"average_epochs": 2, "early_stopping": True}, "average_epochs=2 does not go with early"),
        ({"checkpoint": "x", "random_state": None}, "checkpoint needs a random_state"),
        ({"checkpoint": 3, "random_state": 0}, "checkpoint=3 is not a folder"),
    ],
)
@pytest.mark.parametrize("cls", NETWORKS)
def test_what_contradicts_itself_is_refused(cls, parameters, message):
    with pytest.raises(ValueError, match=message):
        check_together(cls(**parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"max_epochs": 1},
        {"head_epochs": 4, "max_epochs": 5, "warmup_epochs": 4},
        {"head_epochs": "solve", "max_epochs": 1},
        {"average_epochs": 50},
        {"lr_schedule": "one_cycle", "early_stopping": True},
    ],
)
def test_what_goes_together_is_let_pass(parameters):
    for cls in NETWORKS:
        check_together(cls(**parameters))


def test_augmentations_of_the_input_are_those_that_are_on():
    assert input_augmentations(FineTunedClassifier()) == []
    every = FineTunedClassifier(mixup=0.1, spec_augment={"time_mask": 0.1}, augment=np.flip)
    assert input_augmentations(every) == ["mixup", "spec_augment", "augment"]
    assert input_augmentations(FineTunedClassifier(spec_augment=True)) == ["spec_augment"]
    assert input_augmentations(FineTunedClassifier(label_smoothing=0.1)) == []


SHORT = {"max_epochs": 2, "random_state": 0}


@pytest.fixture
def source(blobs):
    return FineTunedClassifier("mlp", **SHORT).fit(*blobs[:2])


def rate(estimator, blobs):
    return estimator.set_params(**SHORT).fit(*blobs[:2]).net_.lr


def test_steps_are_smaller_where_the_body_has_learned_before(blobs, source, tmp_path):
    source.save_backbone(tmp_path / "body.safetensors")
    assert rate(FineTunedClassifier("mlp"), blobs) == 1e-3
    for learned in (source, tmp_path / "body.safetensors"):
        assert rate(FineTunedClassifier(learned), blobs) == 1e-4
        assert rate(FineTunedClassifier(learned, weights=None), blobs) == 1e-3
        assert rate(FineTunedClassifier(learned, lr=0.01), blobs) == 0.01


def test_a_fit_that_goes_on_in_calls_keeps_its_rate_after_pickling(blobs, source):
    fitted = FineTunedClassifier(FrozenEstimator(source), **SHORT).fit(*blobs[:2])
    again = pickle.loads(pickle.dumps(fitted)).partial_fit(*blobs[:2])
    assert again.net_.lr == 1e-4


def test_a_linear_head_is_solved_first_where_the_body_has_learned_before(blobs, source):
    def probabilities(**parameters):
        network = FineTunedClassifier(**{**SHORT, **parameters})
        return network.fit(*blobs[:2]).predict_proba(blobs[0])

    for learned, head in ((source, "solve"), ("mlp", 0)):
        found = probabilities(backbone=learned)
        np.testing.assert_array_equal(found, probabilities(backbone=learned, head_epochs=head))
        other = 0 if head == "solve" else "solve"
        assert (found != probabilities(backbone=learned, head_epochs=other)).any()
    cosine = [probabilities(backbone=source, head="cosine", head_epochs=n) for n in ("auto", 0)]
    np.testing.assert_array_equal(*cosine)


def test_a_fit_that_goes_on_keeps_its_head(blobs, source):
    going_on = FineTunedClassifier(source, warm_start=True, **SHORT).fit(*blobs[:2])
    losses = [epoch["train_loss"] for epoch in going_on.history_]
    going_on.fit(*blobs[:2])
    assert going_on.history_[0]["train_loss"] < losses[0]
