"""Bad clips are refused before any long work, tensors by the same rules as arrays."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from sktl.audio import _ahead, validate_clips
from sktl.exceptions import AudioReadError


def validate(X, *, estimator=None, sr=16000, reset=True, **options):
    return validate_clips(estimator or BaseEstimator(), X, sr=sr, reset=reset, **options)


@pytest.mark.parametrize("form", [np.zeros, torch.zeros])
def test_two_dimensional_array_sets_and_checks_n_features_in(form):
    estimator = BaseEstimator()
    assert validate(form((2, 4)), estimator=estimator, keep_tensors=True).dense
    assert estimator.n_features_in_ == 4
    with pytest.raises(ValueError, match="expecting 4 features"):
        validate(form((2, 5)), estimator=estimator, reset=False, keep_tensors=True)
    validate([np.zeros(5)], estimator=estimator, reset=False)


def test_list_does_not_set_n_features_in_and_forgets_an_earlier_one():
    estimator = BaseEstimator()
    validate(np.zeros((2, 4)), estimator=estimator)
    assert not validate([np.zeros(4)], estimator=estimator).dense
    assert not hasattr(estimator, "n_features_in_")


def test_all_missing_files_are_named_before_any_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_ahead, "decode", lambda *args: pytest.fail("a file was read"))
    there = tmp_path / "a.wav"
    there.touch()
    with pytest.raises(AudioReadError, match=r"2 of 4 .* do not exist:\n  x\.wav\n  y\.wav$"):
        validate([there, "x.wav", there, "y.wav"])


def test_folders_and_missing_files_are_told_apart(tmp_path):
    (tmp_path / "a.wav").touch()
    message = (
        r"^1 of 3 audio files do not exist:\n  x\.wav\n"
        r"1 of 3 paths are folders; give the files in them, e\.g\. "
        r"sorted\(Path\(folder\)\.rglob\('\*\.wav'\)\):\n  .*[^v]$"
    )
    with pytest.raises(AudioReadError, match=message):
        validate([tmp_path / "a.wav", tmp_path, "x.wav"])
    with pytest.raises(AudioReadError, match=r"^1 of 1 paths are folders"):
        validate([str(tmp_path)])


def test_a_path_given_twice_is_named_once(tmp_path):
    with pytest.raises(AudioReadError, match=r"^3 of 4 .*:\n  x\.wav \(2 times\)\n  y\.wav$"):
        validate(["x.wav", "y.wav", "x.wav", __file__])
    (tmp_path / "a.wav").touch()
    clips = validate([tmp_path / "a.wav"] * 3)
    with pytest.raises(AudioReadError, match=r"^3 of 3 .*:\n  \S+a\.wav: is empty.*\(3 times\)$"):
        list(clips.chunks(1))


def test_a_path_below_home_is_said_not_to_be_expanded():
    message = (
        r"1 of 1 .* do not exist \('~' is not expanded: give os\.path\.expanduser\(path\)\):\n"
    )
    with pytest.raises(AudioReadError, match=message):
        validate(["~/a.wav"])


def test_a_folder_named_like_a_file_is_named_when_it_is_read(tmp_path):
    (tmp_path / "a.wav").mkdir()
    clips = validate([tmp_path / "a.wav"])
    with pytest.raises(AudioReadError, match=r"a\.wav: is a folder"):
        list(clips.chunks(1))


@pytest.mark.parametrize("name", ["a\0.wav", "a\0", b"a.wav"])
def test_paths_that_no_file_has_are_missing(tmp_path, name):
    entry = type("Entry", (), {"__fspath__": lambda self: name})()
    with pytest.raises(AudioReadError, match="1 of 1 audio files do not exist"):
        validate([entry])


def test_an_empty_path_can_be_seen():
    with pytest.raises(AudioReadError, match=r"2 of 2 .* do not exist:\n  '' \(2 times\)$"):
        validate(["", ""])


@pytest.mark.parametrize("X", [np.zeros((2, 4)), [np.zeros(4)], ["a.wav"]])
def test_zero_threads_are_refused_for_every_form(X):
    with pytest.raises(ValueError, match="n_jobs=0 is no number of threads"):
        validate(X, n_jobs=0)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.zeros(3), np.zeros(0)], r"X\[1\] is empty: a clip needs at least one sample"),
        ([np.zeros(3), np.array([0.0, np.nan])], r"X\[1\] contains NaN or infinity"),
        ([np.array([np.inf])], r"X\[0\] contains NaN or infinity"),
        (np.array([[0.0, 1.0], [np.nan, 0.0], [0.0, np.inf]]), r"X\[1\] contains NaN or infinity"),
        (np.array([[0.0, 0.0], [-np.inf, np.inf]]), r"X\[1\] contains NaN or infinity"),
        (pd.DataFrame({"x0": [0.0, 1.0], "x1": [1.0, None]}), r"X\[1\] contains NaN"),
        ([np.zeros((2, 3))], r"X\[0\] has shape \(2, 3\): several channels, such as stereo"),
        (np.zeros((5, 2, 3)), r"X has shape \(5, 2, 3\): clips of several channels.*mean"),
        ([np.zeros(3, np.int16)], r"X\[0\] has dtype int16.*X\[0\] / 32768"),
        (np.zeros((2, 3), np.int16), "X has dtype int16.*16-bit samples that is X / 32768"),
        ([np.zeros(3, np.uint8)], r"uint8.*\(X\[0\] - 128\) / 128"),
        ([np.array([0, 30000])], "int64: PCM that was not scaled.* / 32768"),
        (np.array([[0, 2**23 - 1]]), r"int64.*24-bit samples that is X / 8388608"),
        ([np.zeros(3, complex)], r"X\[0\] has dtype complex128"),
        ([np.zeros(3), "a.wav"], r"X\[1\] is a str but X\[0\] is an array"),
        (["a.wav", None], r"X\[1\] is a NoneType but X\[0\] is a path"),
        (np.zeros(5), "Expected 2D array, got 1D array"),
        ([0.1, 0.2], r"X has shape \(2,\): Expected 2D array, got 1D array.*list of it, \[X\]"),
    ],
)
def test_bad_clips_are_refused_with_the_reason(X, message):
    with pytest.raises(ValueError, match=message):
        validate(X)


def test_small_whole_numbers_are_accepted():
    validate(np.array([[1, -2], [100, 0]]))


@pytest.mark.parametrize(
    ("scale", "bits"), [(129, 16), (32_768, 16), (40_000, 24), (2**23, 24), (2**31, 32)]
)
@pytest.mark.parametrize("form", ["array", "list", "tensor", "tensors"])
def test_floats_of_the_size_of_pcm_are_warned_of_once_and_left_alone(scale, bits, form):
    X = scale * np.sin(np.arange(6000) / 3).reshape(2, 3000).astype(np.float32)
    X[1] = 0
    X[0, 2] = scale
    forms = {"array": X, "list": list(X), "tensor": torch.from_numpy(X)}
    given = forms.get(form, [torch.from_numpy(row) for row in X])
    message = (
        rf"X holds values as large as .* samples of {bits} bits, divide them by {2 ** (bits - 1)}\."
    )
    with pytest.warns(UserWarning, match=message) as record:
        (chunk,) = validate(given, keep_tensors=True).chunks(2)
    assert len(record) == 1
    np.testing.assert_array_equal(np.stack([np.asarray(clip) for clip in chunk]), X)


@pytest.mark.parametrize("scale", [1.0, 1.9, 128.0, 2.0**32, 1e30])
def test_louder_clips_than_allowed_are_not_taken_for_pcm(scale):
    validate(np.full((2, 10), scale, dtype=np.float32))
    validate([np.full(10, scale)])


def test_only_a_few_samples_are_looked_at():
    class Counting(np.ndarray):
        seen = 0

        def max(self, *args, **options):
            Counting.seen += self.size
            return super().max(*args, **options)

    clips = [np.zeros(1_000_000, np.float32).view(Counting) for _ in range(10)]
    validate(clips, check_finite=False)
    assert 0 < Counting.seen < 5000


def test_clips_of_one_sample_are_accepted():
    assert len(validate([np.zeros(1)])) == 1


@pytest.mark.parametrize("sr", [None, "16000", 0, -1, float("inf")])
def test_nonsensical_sample_rate_is_refused(sr):
    with pytest.raises(ValueError, match=r"in Hz, e\.g\. sr=16000"):
        validate([np.zeros(3)], sr=sr)


def test_large_finite_values_are_told_from_infinity():
    validate(np.full((2, 40), 1e308))
    large = np.full(4, 1e30, dtype=np.float32)
    validate([large, large.astype(np.float64) * 1e200])
    validate([torch.full((40,), 3e38), torch.full((40,), -3e38)], keep_tensors=True)
    validate(torch.full((2, 40), 3e38), keep_tensors=True)


@pytest.mark.parametrize("n_samples", [3, 20_000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_sample_is_found_in_clips_short_and_long(n_samples, value):
    clips = [np.linspace(-1, 1, n_samples, dtype=np.float32) for _ in range(3)]
    clips[1][-1] = value
    with pytest.raises(ValueError, match=r"X\[1\] contains NaN or infinity"):
        validate(clips)
    with pytest.raises(ValueError, match=r"X\[1\] contains NaN or infinity"):
        validate([torch.from_numpy(clip) for clip in clips], keep_tensors=True)


def test_infinities_of_both_signs_do_not_cancel():
    with pytest.raises(ValueError, match="NaN or infinity"):
        validate([np.array([np.inf, -np.inf])])


def test_wide_floats_are_not_copied_as_a_whole():
    X = np.zeros((2, 4))
    clips = validate(X, dtype=np.float32)
    assert np.shares_memory(clips.rows, X)
    assert [clip.dtype for clip in next(clips.chunks(2))] == [np.float32, np.float32]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tensor_dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_stay_on_their_device(device, dtype, tensor_dtype):
    X = torch.linspace(-1, 1, 12, device=device, dtype=tensor_dtype).reshape(3, 4)
    for form in (X, list(X), tuple(X)):
        for reset in (True, False):
            clips = validate(form, dtype=dtype, keep_tensors=True, reset=reset)
            (chunk,) = clips.chunks(8)
            assert all(isinstance(clip, torch.Tensor) for clip in chunk)
            assert all(clip.device == X.device for clip in chunk)
            assert torch.equal(torch.stack(list(chunk)), X.to(getattr(torch, np.dtype(dtype).name)))
    (chunk,) = validate(X, dtype=dtype).chunks(8)
    np.testing.assert_array_equal(chunk, X.double().cpu().numpy().astype(dtype))
    assert all(isinstance(clip, np.ndarray) for clip in chunk)


def test_whole_numbers_stay_tensors_too():
    for X in (torch.tensor([[1, -2], [100, 0]]), [torch.tensor([1, 2]), torch.tensor([3])]):
        (chunk,) = validate(X, keep_tensors=True).chunks(2)
        assert [clip.dtype for clip in chunk] == [torch.float32, torch.float32]


def test_tensors_among_arrays_become_arrays():
    (chunk,) = validate([torch.zeros(3), np.zeros(2)], keep_tensors=True).chunks(2)
    assert all(isinstance(clip, np.ndarray) for clip in chunk)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_tensors_come_without_a_graph_and_without_a_copy(requires_grad):
    X = torch.ones(2, 3, requires_grad=requires_grad)
    (chunk,) = validate(X, keep_tensors=True).chunks(2)
    assert not any(clip.requires_grad for clip in chunk)
    assert chunk[0].data_ptr() == X.data_ptr()


@pytest.mark.parametrize(
    "X",
    [
        torch.zeros(0, 4),
        torch.zeros(4, 0),
        torch.zeros(5),
        torch.zeros(5, 2, 3),
        torch.full((2, 3), float("nan")),
        torch.full((2, 3), float("inf")),
        torch.zeros(2, 3, dtype=torch.int16),
        torch.zeros(2, 3, dtype=torch.complex64),
        [torch.zeros(3), torch.zeros(0)],
        [torch.zeros(3), torch.zeros(2, 3)],
        [torch.zeros(3), torch.full((3,), float("nan"))],
        [torch.zeros(3), torch.zeros(3, dtype=torch.uint8)],
        [torch.zeros(3), torch.tensor([0, 30000])],
        [torch.zeros(3, dtype=torch.complex64)],
        [torch.zeros(3), "a.wav"],
    ],
)
def test_bad_tensors_are_refused_in_the_words_for_arrays(X):
    with pytest.raises(ValueError) as of_arrays:  # noqa: PT011 (compared below)
        validate(X)
    with pytest.raises(ValueError) as of_tensors:  # noqa: PT011
        validate(X, keep_tensors=True)
    assert str(of_tensors.value) == str(of_arrays.value)


@pytest.mark.parametrize(("shape", "axis"), [((2, 2, 100), 1), ((2, 100, 2), 2)])
def test_the_advice_for_stereo_names_the_axis_of_the_channels(shape, axis):
    with pytest.raises(ValueError, match=rf"several channels.*X\.mean\(axis={axis}\)"):
        validate_clips(BaseEstimator(), np.zeros(shape), sr=16000, reset=True)


def test_one_clip_without_its_list_is_told_so():
    with pytest.raises(ValueError, match=r"If X is one clip, give a list of it, \[X\]"):
        validate_clips(BaseEstimator(), np.zeros(100), sr=16000, reset=True)
