"""Parameters out of range, and those that contradict each other, are refused by name."""

import numpy as np
import pytest

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
