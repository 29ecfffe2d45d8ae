"""A bar on stderr: rows done, seconds of audio per second."""

import re

import pytest

from sktl.embedding._progress import Progress


@pytest.mark.parametrize("verbose", [1, 2, True])
def test_the_bar_counts_rows_and_seconds_of_audio(capfd, verbose):
    with Progress(5, verbose) as progress:
        progress.add(3, 12.0)
        progress.add(2, 8.0)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "5/5" in shown.err
    assert re.search(r"row/s, [\d.e+]+ s of audio/s\]", shown.err)


def test_rows_of_an_array_have_no_duration(capfd):
    with Progress(5, 1) as progress:
        progress.add(5)
    assert "audio" not in capfd.readouterr().err


@pytest.mark.parametrize("verbose", [0, False])
def test_nothing_is_shown_unless_asked_for(capfd, verbose):
    with Progress(5, verbose) as progress:
        progress.add(5, 3.0)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_closed_where_an_error_ends_it(capfd):
    def work():
        with Progress(5, 1) as progress:
            progress.add(2)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert capfd.readouterr().err.endswith("\n")


def test_nothing_is_started_unless_asked_for(monkeypatch):
    """A bar of tqdm starts a thread, even a disabled one."""
    monkeypatch.setattr("sktl.embedding._progress.tqdm", None)
    with Progress(5, 0) as progress:
        progress.add(5)
