"""Tables of labels: what is missing, what is read, what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from sktl import MultiTaskClassifier
from sktl.classifiers._task_labels import (
    TaskLabels,
    check_task_classes,
    check_task_weights,
    encode_tasks,
    is_missing,
    is_table,
    stack_labels,
)

ALL = np.ones(4, dtype=bool)
NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, 1], False),
        (["ab", "cd"], False),
        (np.zeros(3), False),
        (pd.Series([0, 1]), False),
        (None, False),
        ([[0, 1], [1, 0]], True),
        ([("a", 1), ("b", None)], True),
        (np.zeros((3, 1)), True),
        (pd.DataFrame({"a": [0]}), True),
        (torch.zeros(3, 2), True),
        (np.zeros((3, 2, 2)), False),
    ],
)
def test_labels_with_columns_are_told_from_those_without(y, expected):
    assert is_table(y) is expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([1.0, NAN, -1.0]), [False, True, False]),
        (np.array([1, 0, -1]), [False, False, False]),
        (np.array(["a", "", "nan"]), [False, False, False]),
        (np.array(["a", None, NAN], dtype=object), [False, True, True]),
        (np.array([np.float32("nan"), pd.NA, pd.NaT], dtype=object), [True, True, True]),
    ],
)
def test_nan_none_and_the_missing_values_of_pandas_are_missing(column, expected):
    assert is_missing(column).tolist() == expected


FRAMES = [
    pd.DataFrame({"emotion": ["glad", None, "sad", "glad"], "speaker": [3, 7, 7, 3]}),
    pd.DataFrame({"emotion": ["glad", NAN, "sad", "glad"], "speaker": [3, 7, 7, 3]}),
    pd.DataFrame({"a": pd.array(["glad", pd.NA, "sad", "glad"], "string"), "b": [3, 7, 7, 3]}),
    pd.DataFrame({"a": pd.Categorical(["glad", None, "sad", "glad"]), "b": [3, 7, 7, 3]}),
    pd.DataFrame([["glad", 3], [None, 7], ["sad", 7], ["glad", 3]], columns=["same", "same"]),
    [["glad", 3], [None, 7], ["sad", 7], ["glad", 3]],
    (("glad", 3), (NAN, 7), ("sad", 7), ("glad", 3)),
    np.array([["glad", 3], [None, 7], ["sad", 7], ["glad", 3]], dtype=object),
]


@pytest.mark.parametrize("y", FRAMES)
def test_tables_of_any_kind_give_the_same_labels(y):
    labels = TaskLabels(y)
    weight = np.array([1.0, 2.0, 3.0, 4.0])
    encoded, weights, classes = encode_tasks(MultiTaskClassifier(), labels, ALL, weight, None)
    assert [c.tolist() for c in classes] == [["glad", "sad"], [3, 7]]
    assert classes[1].dtype.kind == "i"
    assert encoded.tolist() == [[0, 0], [0, 1], [1, 1], [0, 0]]
    assert weights.tolist() == [[1, 1], [0, 2], [3, 3], [4, 4]]
    assert labels.known().tolist() == [[True, True], [False, True], [True, True], [True, True]]


def test_nullable_integers_stay_integers():
    frame = pd.DataFrame({"a": pd.array([1, None, 2, 1], "Int64"), "b": [0.0, NAN, 1.0, 0.0]})
    _, _, classes = encode_tasks(MultiTaskClassifier(), TaskLabels(frame), ALL, np.ones(4), None)
    assert [c.tolist() for c in classes] == [[1, 2], [0.0, 1.0]]
    assert [c.dtype.kind for c in classes] == ["i", "f"]


def test_labels_of_target_rows_are_not_read():
    y = np.array([["a", 0.5], ["b", 2], [object(), "?"], ["b", 3]], dtype=object)
    y[0, 1] = None
    source = np.array([True, True, False, True])
    encoded, weights, classes = encode_tasks(
        MultiTaskClassifier(), TaskLabels(y), source, np.ones(4), None
    )
    assert [c.tolist() for c in classes] == [["a", "b"], [2, 3]]
    assert encoded[2].tolist() == [0, 0]
    assert weights[2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [
        (None, [[1, 1], [1, 1], [1, 1], [1, 1]]),
        ("balanced", [[2 / 3, 1], [2 / 3, 1], [2 / 3, 1], [2, 1]]),
        ([{0: 2, 1: 3}, None], [[2, 1], [2, 1], [2, 1], [3, 1]]),
        ([None, "balanced"], [[1, 1], [1, 1], [1, 1], [1, 1]]),
    ],
)
def test_weights_of_classes_are_those_of_each_task(class_weight, expected):
    y = TaskLabels(np.array([[0, 0], [0, 1], [0, 0], [1, 1]]))
    estimator = MultiTaskClassifier(class_weight=class_weight)
    np.testing.assert_allclose(encode_tasks(estimator, y, ALL, np.ones(4), None)[1], expected)


@pytest.mark.parametrize(
    ("y", "parameters", "message"),
    [
        ([[0, None], [1, None], [0, NAN], [1, None]], {}, "column 1 of y holds no label of a sou"),
        ([[0, 0.5], [1, 1], [0, 2], [1, 3]], {}, "column 1 of y: Unknown label type: continuous"),
        ([[0, "a"], [1, 1], [0, "b"], [1, 1]], {}, "column 1 of y holds labels of several kinds"),
        (np.zeros((4, 0)), {}, r"y has shape \(4, 0\); give a column for each task"),
        (pd.DataFrame(index=range(4)), {}, r"y has shape \(4, 0\); give a column for each task"),
        ([[0, 1], [0, 1], [0], [0, 1]], {}, "y has rows of 1 and of 2 labels; give one for each"),
        ([[0, 1]] * 4, {"class_weight": {0: 1}}, "class_weight holds a dict, but y has 2 columns"),
        ([[0, 1]] * 4, {"class_weight": [None]}, "class_weight holds 1 entries, but y has 2"),
        ([[0, 1]] * 4, {"class_weight": [{0: 0}, None]}, "leaves column 0 of y no label with a"),
        ([[0, 1], [1, 1]] * 2, {"class_weight": [{5: 1}, None]}, "class_weight of column 0 of y:"),
    ],
)
def test_tables_that_mean_nothing_are_refused(y, parameters, message):
    with pytest.raises(ValueError, match=message):
        encode_tasks(MultiTaskClassifier(**parameters), TaskLabels(y), ALL, np.ones(4), None)


def test_with_classes_given_a_task_may_have_no_label():
    y = TaskLabels([["a", None], ["b", None]])
    given = [np.array(["a", "b", "c"]), np.array([1, 2])]
    encoded, weights, classes = encode_tasks(MultiTaskClassifier(), y, ALL[:2], np.ones(2), given)
    assert encoded.tolist() == [[0, 0], [1, 0]]
    assert weights.tolist() == [[1, 0], [1, 0]]
    assert [c.tolist() for c in classes] == [["a", "b", "c"], [1, 2]]
    with pytest.raises(ValueError, match="column 0 of y: y holds 'd', which is none of classes"):
        encode_tasks(MultiTaskClassifier(), TaskLabels([["d", 1]]), ALL[:1], np.ones(1), given)


def test_classes_of_the_first_call_are_kept():
    first = check_task_classes(None, [["b", "a"], [0, 1]], 2)
    assert [c.tolist() for c in first] == [["a", "b"], [0, 1]]
    assert check_task_classes(first, None, 2) is first
    with pytest.raises(ValueError, match=r"classes=\[0, 2\] are not those of the first call"):
        check_task_classes(first, [["a", "b"], [0, 2]], 2)
    with pytest.raises(ValueError, match="classes has 3 entries, but y has 2 columns"):
        check_task_classes(None, [0, 1, 2], 2)
    with pytest.raises(ValueError, match="classes is None in the first call"):
        check_task_classes(None, None, 2)


@pytest.mark.parametrize("given", [None, "uncertainty"])
def test_no_fixed_weights_of_tasks(given):
    assert check_task_weights(given) is None


def test_fixed_weights_of_tasks():
    assert check_task_weights(np.array([1, 0])) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, -1], "give a finite number, 0 or above, for each column"),
        ([1, NAN], "give a finite number"),
        ([[1, 2]], "give a finite number"),
        ([0, 0], "leaves no task; give one above 0"),
    ],
)
def test_weights_of_tasks_that_mean_nothing_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_task_weights(given)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ([np.array([1, 2]), np.array([0, 1])], "i"),
        ([np.array([1, 2]), np.array([0.0, 1.0])], "f"),
        ([np.array(["a", "b"]), np.array(["long", "er"])], "U"),
        ([np.array(["a", "b"], dtype=object), np.array(["long", "er"])], "O"),
        ([np.array(["a", "b"]), np.array([1, 2])], "O"),
    ],
)
def test_columns_become_a_table_that_changes_no_label(columns, kind):
    table = stack_labels(columns)
    assert table.dtype.kind == kind
    for i, column in enumerate(columns):
        assert table[:, i].tolist() == column.tolist()
