"""The compiled lattice does what its source says, and cuts clips as every feature does."""

import itertools

import numpy as np
import pytest
import torch

from sktl.features._burg import burg
from sktl.features._burg_kernel import burg_kernel, lattice
from sktl.features._frames import Framing
from sktl.features._kernels import located


def noise(*shape, dtype="float64"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def run(clips, outs, framing):
    energies = np.empty(len(clips))
    settings = (framing.margin, framing.hop_length, framing.frame_length, energies)
    burg_kernel(clips[0].dtype.name)(*located(clips, outs), outs[0][0], *settings)
    return energies


@pytest.mark.parametrize("scale", [1.0, 1e-160, 1e160])
def test_compiled_code_does_what_its_source_says(scale):
    frames = scale * noise(2, 50)
    actual, expected = np.empty((2, 1, 7)), np.empty((2, 7))
    run(frames, actual, Framing(50, 50, False))
    with np.errstate(over="ignore"):
        for frame, row in zip(frames.copy(), expected, strict=True):
            lattice.py_func(np.empty(50), frame, row)
    np.testing.assert_allclose(actual[:, 0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("hop_length", "center"), list(itertools.product((7, 40, 100), (False, True)))
)
def test_frames_of_clips_are_those_that_others_cut(dtype, hop_length, center):
    framing = Framing(40, hop_length, center)
    clips = [noise(n, dtype=dtype) for n in (1, 39, 40, 41, 500)]
    counts = framing.counts(map(len, clips))
    outs = [np.full((count, 5), np.nan, dtype=dtype) for count in counts]
    energies = run(clips, outs, framing)
    for clip, out, energy in zip(clips, outs, energies, strict=True):
        frames = framing.cut(torch.from_numpy(clip)[None], len(out))[0]
        rtol = 1e-5 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(out, burg(frames, 5), rtol=rtol, atol=1e-7)
        assert energy == pytest.approx(np.sum(clip.astype(float) ** 2), rel=1e-5)
