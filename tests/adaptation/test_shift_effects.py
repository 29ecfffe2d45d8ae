"""What channels do to a waveform."""

import numpy as np
import pytest
from scipy import signal

from sktl.adaptation import _shift_effects as effects


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def speech(generator):
    """Half a second of decaying tones."""
    time = np.arange(8000) / 16000
    tones = [np.sin(2 * np.pi * f * time) * np.exp(-3 * time) for f in (220, 440, 1000, 2500)]
    return (0.2 * np.sum(tones, axis=0)).astype(np.float32)


def test_the_telephones_band_passes_and_the_rest_does_not():
    sections = effects.band_filter(effects.TELEPHONE, 16000)
    _, gain = signal.freqz_sos(sections, [100, 1000, 3000, 6000], fs=16000)
    decibels = 20 * np.log10(np.abs(gain))
    assert np.abs(decibels[1:3]).max() < 1
    assert decibels[[0, 3]].max() < -30


@pytest.mark.parametrize("reverberation", [0.2, 1.0])
def test_a_room_decays_by_sixty_decibels_in_its_time(generator, reverberation):
    response = effects.make_room(reverberation, 16000, generator)
    assert response[0] == 1
    assert np.linalg.norm(response[1:]) == pytest.approx(1)
    # Schroeder's backward integral of the tail, from -5 to -35 dB.
    energy = np.cumsum(np.square(response[:0:-1]))[::-1]
    decay = 10 * np.log10(energy / energy[0])
    start, end = np.argmax(decay < -5), np.argmax(decay < -35)
    assert 2 * (end - start) / 16000 == pytest.approx(reverberation, rel=0.1)


def test_reverberation_is_a_convolution_at_the_clips_level(generator, speech):
    response = effects.make_room(0.3, 16000, generator)
    found = effects.reverberate(speech, response)
    expected = np.convolve(speech, response)[: len(speech)]
    expected *= np.linalg.norm(speech) / np.linalg.norm(expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(effects.reverberate(np.zeros(5), response), np.zeros(5))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("kind", ["white", "pink", np.sin(np.arange(100.0))])
def test_noise_has_the_power_asked_for(generator, speech, kind, snr):
    noise = effects.make_noise(kind, len(speech), generator)
    added = effects.add_noise(speech, noise, snr) - speech
    found = 10 * np.log10(np.square(speech).sum() / np.square(added).sum())
    assert found == pytest.approx(snr, abs=1e-3)


def test_pink_noise_falls_by_three_decibels_an_octave(generator):
    noise = effects.make_noise("pink", 2**16, generator)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(8, 15)]
    steps = np.diff(10 * np.log10(octaves))
    np.testing.assert_allclose(steps, -3.01, atol=0.9)


def test_silence_stays_silence_and_silent_noise_adds_none(generator):
    np.testing.assert_array_equal(effects.add_noise(np.zeros(4), np.ones(4), 0), np.zeros(4))
    np.testing.assert_array_equal(effects.add_noise(np.ones(4), np.zeros(4), 0), np.ones(4))
    for n in (1, 2):
        assert effects.make_noise("pink", n, generator).shape == (n,)


@pytest.mark.parametrize("sr", [8000, 16000, 44100, 12345])
@pytest.mark.parametrize("codec", effects.CODECS)
def test_codecs_keep_length_time_and_most_of_the_sound(speech, codec, sr):
    clip = signal.resample_poly(speech, sr, 16000).astype(np.float32)
    found = effects.coder(codec, sr)(clip)
    assert found.shape == clip.shape
    assert found.dtype == np.float32
    lag = np.argmax(signal.correlate(found, clip)) - (len(clip) - 1)
    assert abs(lag) <= 1
    assert 0.9 < np.corrcoef(found, clip)[0, 1] < 1
    assert not np.array_equal(found, clip)


@pytest.mark.parametrize("codec", effects.CODECS)
@pytest.mark.parametrize("n_samples", [1, 2, 100])
def test_short_clips_go_through_codecs_too(codec, n_samples):
    clip = np.full(n_samples, 0.5, np.float32)
    assert effects.coder(codec, 16000)(clip).shape == (n_samples,)
