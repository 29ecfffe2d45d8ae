import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktl.model_selection import AdaptationReport
from sktl.plotting import AdaptationDisplay

REPORT = AdaptationReport(
    ["a", "b", "c"],
    {"mixval": np.array([[0.1], [0.9], [0.5]]), "class_cluster": np.array([[0.9], [0.1], [0.2]])},
    np.array([[0.6], [0.8], [0.9]]),
    np.array([0.5]),
)


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


def test_points_are_the_accuracies_of_the_choices():
    display = AdaptationDisplay.from_report(REPORT)
    np.testing.assert_allclose(display.points_.get_offsets(), [[0.8, 0], [0.6, 1]])
    assert display.lines_["source only"].get_xdata()[0] == 0.5
    assert display.lines_["oracle"].get_xdata()[0] == 0.9
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["mixval", "class cluster"]
    assert len(display.candidates_.get_offsets()) == 6


def test_axes_and_options_of_ones_own_are_taken():
    _, ax = plt.subplots()
    display = REPORT.plot(ax, color="red")
    assert display.ax_ is ax
    np.testing.assert_allclose(display.points_.get_facecolor()[0], [1, 0, 0, 1])
    with pytest.raises(TypeError, match="ax=3 is not matplotlib Axes"):
        REPORT.plot(3)
