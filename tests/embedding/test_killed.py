"""A folder of rows survives those who write to it: ``kill -9`` at random moments."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sktl import PretrainedEmbedding
from sktl.embedding._cache import RowStore, row_key

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent / "scripts" / "killed.py"


@pytest.fixture(scope="module")
def killed():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("killed", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What many killed processes left behind."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked, which this platform does not know")
    folder = tmp_path_factory.mktemp("memory")
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, "0"],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    counts = json.loads(done.stdout)
    assert counts["embedding"] > 0
    assert counts["writing"] > 0
    return folder


def test_only_missing_rows_are_computed_and_none_is_corrupt(killed, folder):
    clips = killed.make_clips()
    plain, kept = (PretrainedEmbedding(killed.Slow, memory=m).fit(clips) for m in (None, folder))
    for embedding in (plain, kept):
        embedding.backbone_._delay = 0.0
    large = RowStore(folder, "large").folder
    n_present = sum(large not in path.parents for path in folder.rglob("*.npy"))
    assert 0 < n_present < len(clips)
    expected = plain.transform(clips)
    np.testing.assert_array_equal(kept.transform(clips), expected)
    assert kept.backbone_._n_seen == len(clips) - n_present
    np.testing.assert_array_equal(kept.transform(clips[::-1]), expected[::-1])
    assert kept.backbone_._n_seen == len(clips) - n_present


def test_rows_under_rewriting_are_whole_or_absent(killed, folder):
    store = RowStore(folder, "large")
    found = {number: store.get(row_key(np.full(4, number))) for number in range(killed.N_LARGE)}
    present = {number: value for number, value in found.items() if value is not None}
    assert len(present) == len(list(store.folder.rglob("*.npy"))) > 0
    for number, value in present.items():
        np.testing.assert_array_equal(value, np.full(300_000, number))


def test_what_the_killed_left_lies_apart_and_goes(folder):
    parts = list(folder.rglob("*.part"))
    assert all(part.parent.name == "parts" for part in parts)
    long_ago = time.time() - 2 * 86400
    for part in parts:
        os.utime(part, (long_ago, long_ago))
    for context in {part.parents[1] for part in parts}:
        store = RowStore(folder, "any")
        store.folder, store._parts = context, context / "parts"
        store.put(row_key(np.zeros(1)), np.zeros(1))
    assert list(folder.rglob("*.part")) == []
