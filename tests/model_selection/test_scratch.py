"""What an estimator is without transfer, and when that is not known."""

import pytest
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sktl import MFCC, FineTunedClassifier, PretrainedEmbedding
from sktl.model_selection._scratch import scratch_of

LEVERS = {"frozen_layers": -1, "unfreeze_every": 2, "layer_decay": 0.5, "l2_sp": 0.1}


def test_a_network_gets_random_weights_and_nothing_holds_it_to_them():
    tuned = FineTunedClassifier("yamnet", lr=0.02, head="mlp", **LEVERS)
    alone, changes = scratch_of(tuned)
    expected = {"weights": None, "frozen_layers": 0, "unfreeze_every": None}
    expected |= {"layer_decay": 1.0, "l2_sp": 0.0}
    assert changes == expected
    assert alone.get_params() == tuned.get_params() | expected
    assert tuned.get_params()["weights"] == "pretrained"


def test_only_what_differs_is_named():
    assert scratch_of(FineTunedClassifier())[1] == {"weights": None}
    assert scratch_of(FineTunedClassifier(layer_decay=1))[1] == {"weights": None}
    assert scratch_of(FineTunedClassifier(frozen_layers="all"))[1] == {
        "weights": None,
        "frozen_layers": 0,
    }


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda network: make_pipeline(MFCC(), network), "finetunedclassifier__"),
        (
            lambda network: BaggingClassifier(make_pipeline(network)),
            "estimator__finetunedclassifier__",
        ),
        (lambda network: GridSearchCV(network, {"lr": [1e-3, 1e-2]}), "estimator__"),
    ],
)
def test_networks_are_found_where_they_are(wrap, prefix):
    alone, changes = scratch_of(wrap(FineTunedClassifier(frozen_layers=2)))
    assert changes == {f"{prefix}weights": None, f"{prefix}frozen_layers": 0}
    assert alone.get_params()[f"{prefix}weights"] is None


def test_several_networks_are_all_changed_and_nothing_else_named_weights():
    vote = VotingClassifier(
        [
            ("a", FineTunedClassifier()),
            ("b", FineTunedClassifier("cnn")),
            ("c", KNeighborsClassifier()),
        ],
        weights=[1, 2, 3],
    )
    assert scratch_of(vote)[1] == {"a__weights": None, "b__weights": None}


def test_a_search_over_the_weights_of_something_else_is_no_obstacle():
    vote = VotingClassifier([("a", FineTunedClassifier()), ("b", KNeighborsClassifier())])
    search = GridSearchCV(vote, {"b__weights": ["uniform", "distance"]})
    assert scratch_of(search)[1] == {"estimator__a__weights": None}


def test_an_embedding_becomes_that_of_a_random_network():
    alone, changes = scratch_of(make_pipeline(PretrainedEmbedding(), LogisticRegression()))
    assert changes == {"pretrainedembedding__weights": None}
    assert alone[0].weights is None


@pytest.mark.parametrize("frozen", [True, False])
def test_the_start_that_is_given_as_backbone_is_left_alone(frozen):
    source = FineTunedClassifier(max_epochs=1, frozen_layers=1)
    start = FrozenEstimator(source) if frozen else source
    alone, changes = scratch_of(FineTunedClassifier(start))
    assert changes == {"weights": None}
    assert alone.weights is None
    assert source.weights == "pretrained"
    assert source.frozen_layers == 1


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (LogisticRegression(), "LogisticRegression holds no network .* give scratch="),
        (KNeighborsClassifier(), "KNeighborsClassifier holds no network"),
        (make_pipeline(MFCC(), LogisticRegression()), "Pipeline holds no network"),
        (FineTunedClassifier(weights=None), "FineTunedClassifier has weights=None and transfers"),
        (
            GridSearchCV(FineTunedClassifier(), {"lr": [1e-3], "frozen_layers": [0, 1]}),
            "GridSearchCV searches over 'estimator__frozen_layers', which .* give scratch=",
        ),
        (
            GridSearchCV(
                make_pipeline(FineTunedClassifier()),
                [{"finetunedclassifier__weights": ["pretrained", None]}, {}],
            ),
            "searches over 'estimator__finetunedclassifier__weights'",
        ),
    ],
)
def test_what_is_not_known_is_asked_for(estimator, match):
    with pytest.raises(ValueError, match=match):
        scratch_of(estimator)
