"""Means, intervals and splits are drawn where they belong."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktl.model_selection import TransferReport
from sktl.plotting import TransferDisplay

SCORES = {
    "accuracy": {"transfer": np.array([0.9, 0.8, 1.0]), "scratch": np.array([0.5, 0.6, 0.4])},
    "f1_macro": {"transfer": np.array([0.85, 0.8, 0.9]), "scratch": np.array([0.5, 0.45, 0.4])},
}
REPORT = TransferReport(SCORES, np.full(3, 20), np.full(3, 10))


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


def test_means_and_limits_are_those_of_the_report():
    display = REPORT.plot()
    assert isinstance(display, TransferDisplay)
    for name in ("scratch", "transfer"):
        means, _, (bars,) = display.errorbars_[name]
        expected = [REPORT.estimates[metric][name] for metric in SCORES]
        np.testing.assert_allclose(means.get_ydata(), [mean for mean, _, _ in expected])
        for segment, (_, low, high) in zip(bars.get_segments(), expected, strict=True):
            np.testing.assert_allclose(segment[:, 1], [low, high])
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["accuracy", "macro F1"]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "target data alone",
        "transfer",
    ]


def test_every_split_is_a_line_from_one_score_to_the_other():
    display = TransferDisplay.from_report(REPORT)
    ends = [line.get_ydata().tolist() for line in display.lines_]
    expected = [
        [low, high]
        for both in SCORES.values()
        for low, high in zip(both["scratch"], both["transfer"], strict=True)
    ]
    assert ends == expected
    scratch, transfer = (
        display.errorbars_[name][0].get_xdata() for name in ("scratch", "transfer")
    )
    for line, metric in zip(display.lines_, [0, 0, 0, 1, 1, 1], strict=True):
        assert line.get_xdata().tolist() == [scratch[metric], transfer[metric]]


def test_the_gain_is_written_over_each_metric():
    gain = REPORT.estimates["accuracy"]["gain"]
    text = REPORT.plot().texts_[0].get_text()
    assert text == f"+0.400\n[{gain.low:+.3f}, {gain.high:+.3f}]"


def test_axes_that_are_given_are_drawn_on():
    figure, (left, right) = plt.subplots(1, 2)
    display = REPORT.plot(left, capsize=7)
    assert (display.ax_, display.figure_) == (left, figure)
    assert not right.lines
    assert display.errorbars_["transfer"][1][0].get_markersize() == 14
    with pytest.raises(TypeError, match="ax=1 is not matplotlib Axes"):
        REPORT.plot(1)


def test_matplotlib_that_is_missing_is_named_with_its_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"TransferDisplay needs 'matplotlib'.*sktl\[plot\]"):
        REPORT.plot()
