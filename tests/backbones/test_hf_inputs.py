"""Clips are prepared as by the feature extractors of transformers."""

import warnings

import numpy as np
import pytest
import torch

from sktl.backbones._hf_inputs import ASTInput, CLAPInput, SpeechInput, WhisperInput


@pytest.fixture(scope="module")
def clip():
    """3 s at 16 kHz: tones that come and go, on noise 60 dB below."""
    rng = np.random.default_rng(0)
    time = np.arange(48_000) / 16_000
    tones = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 3100 * time)
    return (tones * (time % 1 > 0.3) + 3e-4 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture
def ast_extractor(transformers):
    """AST's, which warns of bands that no bin of the FFT falls into."""

    def make(**settings):
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            return transformers.ASTFeatureExtractor(**settings)

    return make


def extracted(extractor, clip, key):
    state = np.random.get_state()  # noqa: NPY002 (put back: CLAP's draws from it)
    made = extractor(clip, sampling_rate=extractor.sampling_rate, return_tensors="pt")[key]
    np.random.set_state(state)  # noqa: NPY002
    return made


@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("n_samples", [1, 399, 16_000])
def test_waveforms(transformers, clip, do_normalize, n_samples):
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    prepare = SpeechInput.of(vars(extractor))
    quiet = clip[:n_samples] + np.float32(0.01)
    expected = extracted(extractor, quiet, "input_values")
    torch.testing.assert_close(prepare(torch.from_numpy(quiet), 1), expected, rtol=1e-5, atol=1e-5)
    filled = prepare(torch.from_numpy(quiet), 400)
    assert filled.shape == (1, max(400, n_samples))
    torch.testing.assert_close(filled[:, :n_samples], expected, rtol=1e-5, atol=1e-5)
    assert not filled[:, n_samples:].any()


@pytest.mark.parametrize("n_samples", [1, 100, 15_999, 32_000])
def test_log_mel_of_whisper(transformers, clip, n_samples):
    extractor = transformers.WhisperFeatureExtractor(chunk_length=2)
    prepare = WhisperInput.of(vars(extractor))
    expected = extracted(extractor, clip[:n_samples], "input_features")
    found = prepare(torch.from_numpy(clip[:n_samples]))
    assert found.shape == (1, 80, 200)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_log_mel_of_whisper_in_double_precision(transformers, clip):
    extractor = transformers.WhisperFeatureExtractor(chunk_length=2)
    found = WhisperInput.of(vars(extractor))(torch.from_numpy(clip[:20_000]).double())
    assert found.dtype == torch.float64
    expected = extractor._np_extract_fbank_features(np.pad(clip[:20_000], (0, 12_000))[None], "cpu")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("n_samples", [400, 401, 559, 560, 20_000])
def test_filter_bank_of_ast(ast_extractor, clip, do_normalize, n_samples):
    extractor = ast_extractor(do_normalize=do_normalize)
    prepare = ASTInput.of(vars(extractor))
    expected = extracted(extractor, clip[:n_samples], "input_values")
    found = prepare(torch.from_numpy(clip[:n_samples]))
    assert found.shape == (1, 1024, 128)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("n_samples", [700, 40_000, 48_000])
def test_mel_spectrogram_of_clap(transformers, clip, truncation, padding, n_samples):
    extractor = transformers.ClapFeatureExtractor(
        max_length_s=1, truncation=truncation, padding=padding
    )
    prepare = CLAPInput.of(vars(extractor))
    expected = extracted(extractor, clip[:n_samples], "input_features")
    found = prepare(torch.from_numpy(clip[:n_samples]))
    assert found.shape == (1, 1, 101, 64)
    for channel in expected[0]:
        torch.testing.assert_close(found[0, 0].double(), channel.double(), rtol=0, atol=1e-5)


def prepared(kind, transformers, ast_extractor):
    clap = {"sampling_rate": 16000, "max_length_s": 1, "frequency_max": 7000}
    made = {
        "whisper": lambda: WhisperInput.of(
            vars(transformers.WhisperFeatureExtractor(chunk_length=1))
        ),
        "ast": lambda: ASTInput.of(vars(ast_extractor(max_length=98))),
        "clap": lambda: CLAPInput.of(vars(transformers.ClapFeatureExtractor(**clap))),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", ["whisper", "ast", "clap"])
def test_long_clips_are_cut_into_windows(transformers, ast_extractor, clip, kind):
    prepare = prepared(kind, transformers, ast_extractor)
    window = prepare.n_samples
    assert abs(window - 16_000) < 400
    long = torch.from_numpy(clip)[: 2 * window + window // 2 + 1]
    found = prepare(long)
    alone = torch.cat([prepare(part) for part in long.split(window)])
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    assert len(found) == 3
    assert len(prepare(long[:-2])) == 2
    assert len(prepare(long[: window + window // 2 - 1])) == 1


@pytest.mark.parametrize("kind", ["whisper", "ast", "clap"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_shortest_clips_and_silence_are_taken(transformers, ast_extractor, kind, dtype):
    prepare = prepared(kind, transformers, ast_extractor)
    for n_samples in (1, 300, 20_000):
        found = prepare(torch.zeros(n_samples, dtype=dtype))
        assert found.dtype == dtype
        assert found.isfinite().all()
