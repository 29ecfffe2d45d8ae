"""Burg's method against librosa, against extended precision, and on signals that break it."""

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sktl.features._burg import burg
from sktl.features._burg_kernel import burg_kernel
from sktl.features._kernels import located

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


def compiled(frames, order):
    """The form for the CPU, each frame a clip of its own."""
    clips = np.ascontiguousarray(frames.numpy())
    outs = np.empty((len(clips), 1, order), dtype=clips.dtype)
    settings = (0, clips.shape[1], clips.shape[1], np.empty(len(clips)))
    burg_kernel(clips.dtype.name)(*located(clips, outs), outs[0, 0], *settings)
    return torch.from_numpy(outs[:, 0])


BOTH_FORMS = pytest.mark.parametrize("method", [compiled, burg], ids=["compiled", "torch"])


def frames_of(y, frame_length, hop_length):
    padded = np.pad(np.asarray(y, dtype=np.float64), frame_length // 2)
    return librosa.util.frame(padded, frame_length=frame_length, hop_length=hop_length).T.copy()


def noise(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@BOTH_FORMS
@pytest.mark.parametrize("order", [8, 9, 12, 16])
def test_speech_equals_librosa(speech, order, method):
    for y in speech:
        frames = frames_of(y, 200, 80)
        expected = librosa.lpc(frames, order=order)[:, 1:]
        actual = method(torch.from_numpy(frames), order)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-9)


@BOTH_FORMS
def test_upsampled_speech_equals_extended_precision(speech_paths, method, exact_burg):
    """Its upper band is empty, so methods on autocorrelations lose every digit here."""
    for path in speech_paths:
        frames = frames_of(librosa.load(path, sr=16000)[0], 400, 160)
        expected = exact_burg(frames, 16)
        actual = method(torch.from_numpy(frames), 16)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)


@BOTH_FORMS
@pytest.mark.parametrize("shape", [(1, 2), (2, 3), (5, 17), (3, 400), (2, 1001)])
def test_any_length_and_every_order_up_to_it(shape, method, exact_burg):
    frames = noise(*shape)
    for order in range(1, min(shape[1], 24)):
        actual = method(frames, order)
        assert actual.dtype == torch.float64
        expected = exact_burg(frames.numpy(), order)
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@BOTH_FORMS
def test_coefficients_of_an_autoregressive_process_are_found(method):
    truth = np.array([-1.5, 0.9, -0.2])
    y = lfilter([1.0], [1.0, *truth], np.random.default_rng(0).normal(size=(1, 50000)))
    np.testing.assert_allclose(method(torch.from_numpy(y), 3)[0], truth, atol=0.02)


@BOTH_FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_silence_gives_zeros(dtype, method):
    assert not method(torch.zeros(3, 400, dtype=dtype), 16).any()
    assert not method(-torch.zeros(3, 400, dtype=dtype), 16).any()


TIME = np.arange(400.0)
PREDICTED = {
    "constant": np.ones(400),
    "constant that binary cannot write": np.full(400, 0.1),
    "alternating": (-1.0) ** TIME,
    "sine": np.sin(TIME / 7),
    "two sines": np.sin(TIME / 7) + 1e-6 * np.sin(TIME / 3),
    "ramp": TIME,
    "decay": 0.5**TIME,
    "growth": 2.0**TIME,
    "click": np.eye(1, 400, 200)[0],
    "first sample": np.eye(1, 400, 0)[0],
    "last sample": np.eye(1, 400, 399)[0],
    "two samples far apart": np.eye(1, 400, 0)[0] + np.eye(1, 400, 399)[0],
    "denormal": 5e-324 * (TIME % 7),
    "largest": np.finfo(np.float64).max * np.cos(TIME),
}


@BOTH_FORMS
@pytest.mark.parametrize("y", PREDICTED.values(), ids=PREDICTED)
def test_signals_predicted_exactly_stay_finite_and_stable(y, method):
    for order in range(1, 17):
        coefficients = method(torch.from_numpy(y)[None], order)[0]
        assert torch.isfinite(coefficients).all()
        assert abs(coefficients[-1]) <= 1 + 1e-9


@BOTH_FORMS
@pytest.mark.parametrize("extra", [0, 1, 6])
@pytest.mark.parametrize(("rate", "order"), [(0.0, 1), (np.pi, 1), (1 / 7, 2), (2.5, 2)])
def test_a_sine_is_predicted(rate, order, extra, method):
    y = np.cos(rate * TIME)
    a = method(torch.from_numpy(y)[None], order + extra)[0]
    residual = lfilter([1.0, *a.numpy()], [1.0], y)[order + extra :]
    assert abs(residual).max() < 0.01


@BOTH_FORMS
@pytest.mark.parametrize("scale", [2.0**-1000, 1e-300, 1e-200, 1e-38, 1e150, 1e300])
def test_scale_does_not_matter(scale, method):
    frames = noise(4, 400)
    expected = method(frames, 16)
    np.testing.assert_allclose(method(scale * frames, 16), expected, rtol=1e-7, atol=1e-9)


@BOTH_FORMS
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frames_that_are_not_finite_are_not_hidden(value, method):
    frames = noise(3, 400)
    expected = method(frames, 4)
    frames[1, 100] = value
    actual = method(frames, 4)
    assert actual[1].isnan().all()
    assert torch.equal(actual[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_frame_does_not_depend_on_the_others(dtype):
    tape = noise(200 * 80 + 200, dtype=dtype) * torch.linspace(1e-6, 1, 200 * 80 + 200, dtype=dtype)
    tape[4000:4600] = 0.0
    frames = tape.unfold(0, 200, 80)
    whole = compiled(frames, 12)
    for start, stop in [(0, 1), (0, 16), (7, 8), (5, 69), (50, 51), (101, 117)]:
        assert torch.equal(compiled(frames[start:stop], 12), whole[start:stop])
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0))
    assert torch.equal(compiled(frames[order], 12), whole[order])


def test_float32_frames_are_computed_in_float64():
    frames = noise(4, 400, dtype=torch.float32)
    actual = burg(frames, 16)
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual, burg(frames.double(), 16), rtol=1e-13, atol=1e-13)


def test_half_precision_is_computed_in_float64():
    frames = noise(4, 400).half()
    assert torch.equal(burg(frames, 16), burg(frames.double(), 16))


@BOTH_FORMS
def test_frames_are_not_changed(method):
    frames = 1e-250 * noise(4, 100)
    before = frames.clone()
    method(frames, 4)
    assert torch.equal(frames, before)


def test_no_frames_give_no_coefficients():
    assert burg(torch.zeros(0, 400), 16).shape == (0, 16)


def test_gradient():
    frames = noise(3, 12).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: burg(x, 4), frames)
    small = (1e-3 * noise(2, 9)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: burg(x, 3), small, eps=1e-9, rtol=1e-2)


def test_gradient_reaches_many_strided_float32_frames():
    tape = noise(160 * 300 + 400, dtype=torch.float32).requires_grad_()
    frames = tape.unfold(0, 400, 160)
    actual = burg(frames, 8)
    expected = compiled(frames.detach().double(), 8)
    np.testing.assert_allclose(actual.detach(), expected, rtol=1e-9, atol=1e-12)
    actual.sum().backward()
    assert torch.isfinite(tape.grad).all()
    assert (tape.grad != 0).all()


def test_gradient_of_silence_is_finite():
    frames = torch.zeros(2, 50, dtype=torch.float64, requires_grad=True)
    burg(frames, 4).sum().backward()
    assert torch.isfinite(frames.grad).all()


@pytest.mark.gpu
def test_cuda_equals_the_cpu():
    frames = noise(300, 400)
    actual = burg(frames.cuda(), 16)
    assert actual.is_cuda
    np.testing.assert_allclose(actual.cpu(), compiled(frames, 16), rtol=1e-9, atol=1e-9)
