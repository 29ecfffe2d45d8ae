"""Axes that are given are checked; others are made."""

import matplotlib.pyplot as plt
import pytest

from sktl._drawing import axes_of, check_axes


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


def test_axes_that_are_given_are_used():
    _, ax = plt.subplots()
    assert axes_of(ax, "A display") is ax
    assert len(plt.get_fignums()) == 1


def test_a_figure_is_made_for_none_with_the_options():
    ax = axes_of(None, "A display", figsize=(3, 2))
    assert plt.get_fignums()
    assert tuple(ax.figure.get_size_inches()) == (3, 2)


def test_what_is_no_axes_is_refused_before_a_figure_is_made():
    with pytest.raises(TypeError, match="ax='here' is not matplotlib Axes"):
        check_axes("here", "A display")
    with pytest.raises(TypeError, match="ax=3 is not matplotlib Axes"):
        axes_of(3, "A display")
    assert not plt.get_fignums()
