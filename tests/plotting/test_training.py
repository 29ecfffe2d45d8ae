"""What is drawn of a training: the numbers of history_, at their epochs."""

import pickle
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier
from sktl.plotting import TrainingDisplay

from_estimator = TrainingDisplay.from_estimator
X, Y = make_classification(80, random_state=0)
DOMAIN = np.repeat([1, -1], 40)
QUICK = {"max_epochs": 4, "batch_size": 16, "random_state": 0}


class WithHistory(BaseEstimator):
    """A fitted network as far as a display sees it."""

    def __init__(self, history, n_blocks=4):
        self.history_ = history
        self.backbone_ = type("Body", (), {"blocks": [None] * n_blocks})


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def stopped_early():
    return FineTunedClassifier(early_stopping=True, validation_fraction=0.3, **QUICK).fit(X, Y)


def drawn(display, name):
    return display.lines_[name].get_xydata().T


def test_losses_are_those_of_the_history_at_epochs_from_one(stopped_early):
    display = from_estimator(stopped_early)
    for name in ("train_loss", "valid_loss"):
        epochs, values = drawn(display, name)
        np.testing.assert_array_equal(epochs, [1, 2, 3, 4])
        np.testing.assert_array_equal(values, [e[name] for e in stopped_early.history_])
    legend = display.score_ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()][:2] == [
        "training loss",
        "validation loss",
    ]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Epoch", "Loss")
    assert display.ax_.get_xlim() == (0.5, 4.5)


def test_there_is_no_validation_where_there_was_none():
    display = from_estimator(FineTunedClassifier(**QUICK).fit(X, Y))
    assert list(display.losses) == ["train_loss"]


def test_terms_add_up_to_the_loss_and_can_be_left_out():
    options = {"lambda_mmd": 1.0, "lambda_adv": 0.5, "l2_sp": 0.01}
    fitted = DomainAdaptiveClassifier(**options, **QUICK).fit(X, Y, sample_domain=DOMAIN)
    display = from_estimator(fitted)
    terms = [name for name in display.lines_ if name.startswith("train_loss_")]
    assert sorted(terms) == [f"train_loss_{name}" for name in ("adv", "cls", "l2_sp", "mmd")]
    total = sum(drawn(display, name)[1] for name in terms)
    np.testing.assert_allclose(drawn(display, "train_loss")[1], total, rtol=1e-6)
    assert {display.lines_[name].get_linestyle() for name in terms} == {"--"}
    assert display.lines_["train_loss_mmd"].get_label() == "training loss: MMD"
    assert list(from_estimator(fitted, terms=False).lines_) == ["train_loss"]


def test_a_validation_score_is_drawn_on_an_axis_of_its_own():
    accuracies = [0.5, 0.75, 0.7]
    history = [
        {
            "epoch": i,
            "train_loss": 1 / (i + 1),
            "train_batch_count": 3,
            "valid_accuracy": a,
            "dur": 1.0,
        }
        for i, a in enumerate(accuracies)
    ]
    display = from_estimator(WithHistory(history))
    np.testing.assert_array_equal(drawn(display, "valid_accuracy"), [[1, 2, 3], accuracies])
    assert list(display.lines_) == ["train_loss", "valid_accuracy"]
    assert display.lines_["valid_accuracy"].axes is display.score_ax_
    assert display.score_ax_ is not display.ax_
    assert display.lines_["valid_accuracy"].get_label() == "validation accuracy"


def test_scores_of_callbacks_are_drawn_when_named():
    history = [{"train_loss": 1.0, "uar": 0.5, "uar_best": True}, {"train_loss": 0.5, "uar": 0.6}]
    assert list(from_estimator(WithHistory(history)).lines_) == ["train_loss"]
    display = from_estimator(WithHistory(history), scores=["uar"])
    np.testing.assert_array_equal(drawn(display, "uar")[1], [0.5, 0.6])
    with pytest.raises(
        ValueError, match=r"scores=\['f1'\], but history_ holds 'train_loss', 'uar'"
    ):
        from_estimator(WithHistory(history), scores=["f1"])
    with pytest.raises(ValueError, match="uar_best"):
        from_estimator(WithHistory(history), scores="uar_best")


def test_frozen_blocks_are_a_staircase_with_a_number_on_each_step():
    counts = [4, 4, 3, 3, 1, 0]
    display = from_estimator(WithHistory([{"train_loss": 1.0, "n_frozen": n} for n in counts]))
    values, edges, _ = display.frozen_.get_data()
    np.testing.assert_array_equal(values, counts)
    np.testing.assert_array_equal(edges, np.arange(7) + 0.5)
    texts = {text.get_text(): text.get_position() for text in display.frozen_ax_.texts}
    assert texts == {"4": (1.5, 4), "3": (3.5, 3), "1": (5.0, 1)}
    assert display.frozen_.get_label() == "frozen blocks (of 4)"
    assert display.frozen_ax_.get_zorder() < display.ax_.get_zorder()
    assert display.frozen_ax_.get_xlim() == display.ax_.get_xlim()


@pytest.mark.parametrize("counts", [[0, 0], [None, None]])
def test_without_frozen_blocks_there_is_no_staircase(counts):
    history = [{"train_loss": 1.0} | ({} if n is None else {"n_frozen": n}) for n in counts]
    display = from_estimator(WithHistory(history))
    assert display.frozen_ is None
    assert display.frozen_ax_ is None
    assert display.score_ax_ is None


def test_an_epoch_that_lacks_a_value_leaves_a_gap():
    history = [{"train_loss": 1.0}, {"train_loss": 0.5, "valid_loss": 0.7}]
    np.testing.assert_array_equal(
        from_estimator(WithHistory(history)).losses["valid_loss"], [np.nan, 0.7]
    )


def test_a_single_entry_is_a_point_that_can_be_seen():
    display = from_estimator(WithHistory([{"train_loss": 0.25, "n_frozen": 4}]))
    assert drawn(display, "train_loss").tolist() == [[1.0], [0.25]]
    assert display.lines_["train_loss"].get_marker() == "o"
    assert display.ax_.get_xlim() == (0.5, 1.5)
    assert [tick for tick in display.ax_.get_xticks() if 0.5 < tick < 1.5] == [1.0]


def test_a_history_without_losses_says_what_it_holds():
    with pytest.raises(ValueError, match="holds 'dur', 'n_steps' but no loss and no score"):
        from_estimator(WithHistory([{"dur": 1.0, "n_steps": 12}]))
    assert not plt.get_fignums()


def test_one_class_alone_leaves_nothing_to_draw():
    constant = FineTunedClassifier(**QUICK).fit(X, np.zeros(80))
    with pytest.raises(ValueError, match="history_ of FineTunedClassifier is empty"):
        from_estimator(constant)
    assert not plt.get_fignums()


def test_the_network_is_found_in_a_pipeline_and_in_a_search(stopped_early):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), FineTunedClassifier(**QUICK)),
        {"finetunedclassifier__lr": [1e-3, 1e-2]},
        cv=2,
    ).fit(X, Y)
    display = from_estimator(search)
    expected = [epoch["train_loss"] for epoch in search.best_estimator_[-1].history_]
    np.testing.assert_array_equal(drawn(display, "train_loss")[1], expected)


def test_a_history_survives_a_pickle(stopped_early):
    again = from_estimator(pickle.loads(pickle.dumps(stopped_early)))
    np.testing.assert_array_equal(
        drawn(again, "train_loss"), drawn(from_estimator(stopped_early), "train_loss")
    )


@pytest.mark.parametrize(
    "estimator",
    [
        FineTunedClassifier(),
        make_pipeline(StandardScaler(), DANNClassifier()),
        GridSearchCV(FineTunedClassifier(), {"lr": [1e-3]}),
        LogisticRegression(),
    ],
)
def test_what_is_not_fitted_says_so(estimator):
    with pytest.raises(NotFittedError, match="not fitted"):
        from_estimator(estimator)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (FineTunedClassifier, r"class FineTunedClassifier; give a fitted instance"),
        (LogisticRegression().fit(X, Y), "LogisticRegression keeps no history_"),
        (make_pipeline(LogisticRegression()).fit(X, Y), "LogisticRegression keeps no history_"),
        (3, "3 is not an estimator"),
    ],
)
def test_what_keeps_no_history_is_refused(estimator, match):
    with pytest.raises(TypeError, match=match):
        from_estimator(estimator)
    assert not plt.get_fignums()


def test_a_search_that_kept_no_network_says_what_to_do():
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2, refit=False).fit(X, Y)
    with pytest.raises(TypeError, match="GridSearchCV has no best_estimator_, which refit=True"):
        from_estimator(search)


def test_axes_that_are_given_are_drawn_on_and_stay_the_current_ones():
    figure, (left, right) = plt.subplots(1, 2)
    history = [{"train_loss": 1.0, "valid_accuracy": 0.5, "n_frozen": 2}] * 2
    display = from_estimator(WithHistory(history), ax=left, linewidth=3)
    assert display.ax_ is left
    assert display.figure_ is figure
    assert plt.gca() is left
    assert not right.lines
    assert {line.get_linewidth() for line in display.lines_.values()} == {3}
    with pytest.raises(TypeError, match="ax='x' is not matplotlib Axes"):
        from_estimator(WithHistory(history), ax="x")
    figure.draw_without_rendering()


def test_matplotlib_that_is_missing_is_named_with_its_extra(monkeypatch, stopped_early):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"TrainingDisplay needs 'matplotlib'.*sktl\[plot\]"):
        from_estimator(stopped_early)
