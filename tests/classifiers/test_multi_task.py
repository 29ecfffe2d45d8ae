"""Several tasks on one body: training, whatever is missing."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sktl import FineTunedClassifier, MultiTaskClassifier

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
LONG = {**QUICK, "max_epochs": 60}
WHOLE = {"batch_size": 10_000, "max_epochs": 5, "lr": 0.01, "random_state": 0}
STILL = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 1, "random_state": 0}
N = 90


@pytest.fixture(scope="module")
def rows():
    """Rows with a mood of three and a speaker of two, which are independent."""
    generator = np.random.default_rng(0)
    mood, speaker = np.arange(N) % 3, generator.integers(0, 2, N)
    X = generator.normal(size=(N, 6))
    X[:, 0] += 3 * mood
    X[:, 1] += 3 * speaker
    return X, mood, speaker


@pytest.fixture(scope="module")
def table(rows):
    """Both labels of all rows, as numbers."""
    return np.column_stack(rows[1:])


@pytest.fixture(scope="module")
def gaps(table):
    """The same with a third of the moods and a quarter of the speakers not known."""
    y = table.astype(object)
    y[1::4, 0] = None
    y[np.arange(N) % 4 == 2, 1] = np.nan
    y[3::12] = None
    return y


def test_both_tasks_are_learned(rows, table):
    fitted = MultiTaskClassifier(**LONG).fit(rows[0], table)
    assert (fitted.score_tasks(rows[0], table) > 0.9).all()
    assert [c.tolist() for c in fitted.classes_] == [[0, 1, 2], [0, 1]]
    assert fitted.n_features_in_ == 6
    first = fitted.history_[0]
    assert first["train_loss"] == pytest.approx(
        first["train_loss_task_0"] + first["train_loss_task_1"]
    )


def test_one_column_of_labels_is_fine_tuning_to_the_bit(rows):
    X, mood, _ = rows
    names = np.array(["b", "a", "c"])[mood]
    one, plain = (cls(**QUICK).fit(X, names) for cls in (MultiTaskClassifier, FineTunedClassifier))
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(one, method)(X), getattr(plain, method)(X))
    assert one.score(X, names) == plain.score(X, names) == one.score_tasks(X, names)[0]
    assert one.classes_.tolist() == ["a", "b", "c"]


def test_a_table_of_one_column_is_a_table(rows):
    X, mood, _ = rows
    fitted = MultiTaskClassifier(**QUICK).fit(X, mood[:, None])
    assert fitted.predict(X).shape == (N, 1)
    assert [proba.shape for proba in fitted.predict_proba(X)] == [(N, 3)]
    expected = FineTunedClassifier(**QUICK).fit(X, mood).predict_proba(X)
    np.testing.assert_allclose(fitted.predict_proba(X)[0], expected)


def test_the_loss_of_a_task_is_the_mean_over_rows_whose_label_is_known(rows, gaps):
    X = rows[0]
    fitted = MultiTaskClassifier(batch_size=N, **STILL).fit(X, gaps)
    for task, proba in enumerate(fitted.predict_proba(X)):
        known = np.array([label is not None and label == label for label in gaps[:, task]])
        expected = -np.log(proba[np.flatnonzero(known), gaps[known, task].astype(int)]).mean()
        assert fitted.history_[0][f"train_loss_task_{task}"] == pytest.approx(expected)


def test_a_row_without_any_label_is_as_if_absent(rows, table):
    X = rows[0]
    y = table.astype(float)
    y[::5] = np.nan
    kept = np.arange(N) % 5 > 0
    with_gaps = MultiTaskClassifier(**QUICK).fit(X, y)
    without = MultiTaskClassifier(**QUICK).fit(X[kept], y[kept])
    for a, b in zip(with_gaps.predict_proba(X), without.predict_proba(X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_unknown_label_says_nothing(rows, table):
    """What stands where a label is not known, and of which kind, has no influence."""
    X = rows[0]
    numbers, objects = table.astype(float), table.astype(object)
    hidden = np.random.default_rng(1).random(table.shape) < 0.3
    numbers[hidden], objects[hidden] = np.nan, None
    frame = pd.DataFrame(objects).astype("Int64")
    fits = [MultiTaskClassifier(**QUICK).fit(X, y) for y in (numbers, objects, frame)]
    for fitted in fits[1:]:
        for a, b in zip(fits[0].predict_proba(X), fitted.predict_proba(X), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mask", [-1, None, "?"])
def test_labels_of_target_rows_are_never_read(rows, table, mask):
    X = rows[0]
    sample_domain = np.where(np.arange(N) % 3 == 0, -1, 1)
    sample_domain[:3] = 1
    masked = table.astype(object)
    masked[sample_domain < 0] = mask
    for levers in ({}, {"batch_norm": "adapt"}):
        told = MultiTaskClassifier(**levers, **QUICK).fit(X, table, sample_domain)
        untold = MultiTaskClassifier(**levers, **QUICK).fit(X, masked, sample_domain)
        for a, b in zip(told.predict_proba(X), untold.predict_proba(X), strict=True):
            np.testing.assert_array_equal(a, b)


def test_minus_one_is_a_class(rows, table):
    fitted = MultiTaskClassifier(**QUICK).fit(rows[0], table - 1)
    assert [c.tolist() for c in fitted.classes_] == [[-1, 0, 1], [-1, 0]]


@pytest.mark.parametrize("task_weights", [None, [1.0, 0.5], "uncertainty"])
def test_a_weight_counts_as_a_repetition(rows, gaps, task_weights):
    X, counts = rows[0], np.arange(N) % 3
    estimator = MultiTaskClassifier(task_weights=task_weights, **WHOLE)
    weighted = clone(estimator).fit(X, gaps, sample_weight=counts)
    repeated = clone(estimator).fit(np.repeat(X, counts, 0), np.repeat(gaps, counts, 0))
    for a, b in zip(weighted.predict_proba(X), repeated.predict_proba(X), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_weights_of_classes_are_those_of_each_task(rows, table):
    X, mood, _ = rows
    keep = (mood == 0) | (np.arange(N) < 30)
    X, y = X[keep], table[keep]
    balanced = MultiTaskClassifier(class_weight=["balanced", None], **WHOLE).fit(X, y)
    share = len(y) / (3 * np.bincount(y[:, 0]))
    by_hand = MultiTaskClassifier(class_weight=[dict(enumerate(share)), None], **WHOLE).fit(X, y)
    plain = MultiTaskClassifier(**WHOLE).fit(X, y)
    for a, b in zip(balanced.predict_proba(X), by_hand.predict_proba(X), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(balanced.predict_proba(X)[0], plain.predict_proba(X)[0], atol=1e-3)


def test_a_task_of_weight_zero_does_not_teach_the_body(rows, table):
    X = rows[0]
    two = MultiTaskClassifier(task_weights=[1, 0], optimizer="sgd", **QUICK).fit(X, table)
    mixed = table.copy()
    mixed[:, 1] = mixed[::-1, 1]
    other = MultiTaskClassifier(task_weights=[1, 0], optimizer="sgd", **QUICK).fit(X, mixed)
    np.testing.assert_array_equal(two.predict_proba(X)[0], other.predict_proba(X)[0])
    third = MultiTaskClassifier(task_weights=[1, 1], optimizer="sgd", **QUICK).fit(X, table)
    assert not np.array_equal(two.predict_proba(X)[0], third.predict_proba(X)[0])


def test_the_task_that_cannot_be_learned_becomes_uncertain(rows, table):
    X = rows[0]
    noise = np.column_stack([table[:, 1], np.random.default_rng(3).integers(0, 2, N)])
    probe = {**QUICK, "frozen_layers": "all", "max_epochs": 30, "lr": 0.03, "weight_decay": 0.5}
    fitted = MultiTaskClassifier(task_weights="uncertainty", **probe).fit(X, noise)
    easy, hard = fitted.net_.module_.head.log_variances.tolist()
    assert easy < -1 < hard


def test_variances_do_not_decay(rows, table):
    fitted = MultiTaskClassifier(task_weights="uncertainty", **QUICK).fit(rows[0], table)
    decays = {
        len(group["params"]): group["weight_decay"] for group in fitted.net_.optimizer_.param_groups
    }
    assert decays == {1: 0.0, sum(1 for _ in fitted.net_.module_.parameters()) - 1: 0.01}


@pytest.mark.parametrize("task_weights", [None, [1.0, 0.25]])
def test_heads_on_a_frozen_body_are_solved_each_as_logistic_regression(rows, gaps, task_weights):
    X = rows[0]
    fitted = MultiTaskClassifier(
        frozen_layers="all", task_weights=task_weights, weight_decay=0.1, random_state=0
    ).fit(X, gaps)
    assert fitted.n_iter_ == 1
    module = fitted.net_.module_
    embedding = module.infer(_units(X))[0].numpy()
    for task, factor in enumerate(task_weights or [1, 1]):
        known = np.array([label is not None and label == label for label in gaps[:, task]])
        y = gaps[known, task].astype(int)
        C = factor / (0.1 * known.sum()) * (2 if len(set(y)) == 2 else 1)
        peer = LogisticRegression(C=C, tol=1e-9, max_iter=5000).fit(embedding[known], y)
        expected = peer.predict_proba(embedding)
        np.testing.assert_allclose(fitted.predict_proba(X)[task], expected, atol=1e-4)


def _units(X):
    from sktl.backbones import Units

    return Units(torch.as_tensor(X))


def test_uncertain_heads_are_trained_and_not_solved(rows, table):
    quick = {"frozen_layers": "all", "task_weights": "uncertainty", **QUICK}
    assert MultiTaskClassifier(**quick).fit(rows[0], table).n_iter_ == 4
    with pytest.raises(ValueError, match="but task_weights='uncertainty'; give"):
        MultiTaskClassifier(optimizer="lbfgs", **quick).fit(rows[0], table)


def test_tasks_of_one_class_are_always_predicted(rows, table):
    y = np.column_stack([table[:, 0], np.full(N, 7)])
    fitted = MultiTaskClassifier(task_weights="uncertainty", **QUICK).fit(rows[0], y)
    assert (fitted.predict(rows[0])[:, 1] == 7).all()
    assert fitted.net_.module_.head.log_variances[1] == 0
    alone = MultiTaskClassifier(**QUICK).fit(rows[0], np.full((N, 2), 7))
    assert (alone.predict(rows[0]) == 7).all()
    assert alone.n_iter_ == 0


@pytest.mark.parametrize(
    "levers",
    [
        {"early_stopping": True, "validation_fraction": 0.3},
        {"mixup": 0.3},
        {"head": "cosine"},
        {"head": "mlp"},
        {"task_weights": "uncertainty"},
        {"head_epochs": "solve"},
        {"frozen_layers": "all"},
        {"frozen_layers": 1, "memory": ":memory:"},
        {"frozen_layers": 1, "cache": False},
        {"unfreeze_every": 1, "head_epochs": 1, "layer_decay": 0.5, "l2_sp": 0.1},
        {"average_epochs": 2},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"batch_norm": "adapt"},
        {"precision": "bf16"},
    ],
)
def test_the_other_levers_work_and_a_pickle_predicts_the_same(rows, gaps, levers):
    X = rows[0]
    fitted = MultiTaskClassifier(**{**QUICK, **levers}).fit(X, gaps)
    again = clone(fitted).fit(X, gaps)
    read = pickle.loads(pickle.dumps(fitted))
    for other in (again, read):
        for a, b in zip(fitted.predict_proba(X), other.predict_proba(X), strict=True):
            np.testing.assert_array_equal(a, b)


def test_cache_and_memory_change_no_bit(rows, gaps, tmp_path):
    fits = [
        MultiTaskClassifier(frozen_layers=1, **options, **QUICK).fit(rows[0], gaps)
        for options in ({}, {"cache": False}, {"memory": tmp_path})
    ]
    for fitted in fits[1:]:
        for a, b in zip(fits[0].predict_proba(rows[0]), fitted.predict_proba(rows[0]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_fit_that_came_to_its_end_is_read_again(rows, gaps, tmp_path):
    X = rows[0]
    plain = MultiTaskClassifier(task_weights=np.array([1, 0.5]), **QUICK).fit(X, gaps)
    for weights in (np.array([0.5, 1]), np.array([1, 0.5]), np.array([1, 0.5])):
        kept = MultiTaskClassifier(task_weights=weights, checkpoint=tmp_path, **QUICK).fit(X, gaps)
    for a, b in zip(plain.predict_proba(X), kept.predict_proba(X), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_fit_goes_on_where_it_was(rows, gaps):
    X = rows[0]
    fitted = MultiTaskClassifier(warm_start=True, **QUICK).fit(X, gaps)
    first = fitted.history_[0]["train_loss"]
    assert fitted.fit(X, gaps).history_[0]["train_loss"] < first / 2
    with pytest.raises(ValueError, match="y has 1 columns, but the previous fit had 2"):
        fitted.fit(X, gaps[:, :1])
    with pytest.raises(ValueError, match="warm_start=True, but the previous fit had the classes"):
        fitted.fit(X, np.column_stack([rows[1], rows[1]]))


def test_training_by_calls_knows_all_classes_from_the_first(rows, table):
    X = rows[0]
    y = table.astype(float)
    first = y[:30].copy()
    first[:, 1] = np.nan
    fitted = MultiTaskClassifier(**QUICK)
    fitted.partial_fit(X[:30], first, classes=[[0, 1, 2], [0, 1]])
    for _ in range(20):
        fitted.partial_fit(X, y)
    assert (fitted.score_tasks(X, table) > 0.8).all()
    with pytest.raises(ValueError, match="column 0 of y: y holds 9"):
        fitted.partial_fit(X, np.full((N, 2), 9))


def test_grids_and_pipelines_take_tables(rows, gaps):
    X = rows[0]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MultiTaskClassifier(**QUICK)),
        {"multitaskclassifier__task_weights": [None, [1, 0.1], "uncertainty"]},
        cv=KFold(3, shuffle=True, random_state=0),
    )
    search.fit(X, pd.DataFrame(gaps))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    per_task = GridSearchCV(
        MultiTaskClassifier(**QUICK),
        {"lr": [0.01, 0.1]},
        scoring=lambda clf, X, y: clf.score_tasks(X, y).mean(),
        cv=KFold(3, shuffle=True, random_state=0),
    )
    assert np.isfinite(per_task.fit(X, gaps).cv_results_["mean_test_score"]).all()


def test_clips_have_several_labels_too(ragged):
    clips, pitch = ragged
    long = np.array([len(clip) > 20000 for clip in clips])
    y = np.column_stack([np.array(["low", "high"])[pitch], long.astype(object)])
    fitted = MultiTaskClassifier(frozen_layers="all", random_state=0).fit(clips, y)
    assert fitted.predict(clips).shape == (10, 2)
    assert fitted.predict(clips)[:, 0].tolist() == y[:, 0].tolist()


@pytest.mark.parametrize(
    ("y", "parameters", "message"),
    [
        (np.zeros((N, 2, 2)), {}, "Found array with dim 3"),
        (np.zeros((N - 1, 2)), {}, "inconsistent numbers of samples"),
        (None, {}, "requires y to be passed, but the target y is None"),
        (np.full((N, 2), np.nan), {}, "zero for every source row"),
        (np.tile([0, np.nan], (N, 1)), {}, "column 1 of y holds no label of a source row"),
        (np.zeros((N, 2)), {"task_weights": [1, 2, 3]}, "task_weights has 3 entries, but y has 2"),
        (np.zeros((N, 2)), {"task_weights": "certainty"}, "The 'task_weights' parameter of Multi"),
        (np.zeros((N, 2)), {"class_weight": {0: 1}}, "class_weight holds a dict, but y has 2 col"),
    ],
)
def test_what_means_nothing_is_refused(rows, y, parameters, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskClassifier(**parameters, **QUICK).fit(rows[0], y)


def test_scikit_learn_knows_that_it_takes_tables_and_columns():
    tags = get_tags(MultiTaskClassifier()).target_tags
    assert tags.multi_output
    assert tags.single_output
