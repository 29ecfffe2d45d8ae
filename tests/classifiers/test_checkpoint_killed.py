"""Fits survive ``kill -9``: called again they end with the bits of one that was left in peace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent / "scripts" / "killed_fits.py"
FITS = ["levers", "averaged", "images", "clips", "stopped", "adapted"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the script writes: one process is killed for each moment of each fit."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked, which this platform does not know")
    out = tmp_path_factory.mktemp("killed")
    # A GPU's threads of autograd would not survive the fork.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, SCRIPT, out], check=True, env=environment)
    return out


@pytest.fixture(params=FITS)
def state(folder, request):
    return torch.load(folder / f"{request.param}.pt", weights_only=True)


@pytest.mark.parametrize("way", ["resumed", "read"])
def test_weights_history_and_number_of_epochs_are_the_same_to_the_bit(state, way):
    whole, other = state["whole"], state[way]
    assert other["history"] == whole["history"]
    assert other["n"] == whole["n"] == len(whole["history"])
    assert list(other["weights"]) == list(whole["weights"])
    for name, value in whole["weights"].items():
        assert value.dtype == other["weights"][name].dtype
        assert torch.equal(value, other["weights"][name]), name


def test_what_was_trained_before_is_not_trained_again(state):
    n_steps = sum(epoch["train_batch_count"] for epoch in state["whole"]["history"])
    assert 0 < state["n_resumed"] < n_steps
    assert state["n_read"] == 0


def test_one_whole_file_is_left(state):
    [name] = state["files"]
    assert name.endswith(".ckpt")
