"""One file is read as librosa reads it, and is named when it cannot be."""

import librosa
import numpy as np
import pytest

from sktl.audio import load_audio
from sktl.exceptions import AudioReadError

# audioread, which librosa imports, imports modules that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


@pytest.mark.parametrize("sr", [8000, 16000, 22050])
def test_real_speech_equals_librosa_load(fsdd_dir, sr):
    for path in sorted(fsdd_dir.glob("*_jackson_1*.wav"))[:5]:
        np.testing.assert_array_equal(load_audio(path, sr), librosa.load(path, sr=sr)[0])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AudioReadError, match=r"gone\.wav: no such file"):
        load_audio(tmp_path / "gone.wav", 16000)


def test_folder_is_not_a_file(tmp_path):
    with pytest.raises(AudioReadError, match="is a folder"):
        load_audio(tmp_path, 16000)


@pytest.mark.parametrize("sr", [None, "16000", 0, -1, float("nan"), True])
def test_nonsensical_sample_rate_is_refused(tmp_path, sr):
    with pytest.raises(ValueError, match=r"in Hz, e\.g\. sr=16000"):
        load_audio(tmp_path / "clip.wav", sr)


def test_sample_rate_in_khz_is_refused(tmp_path):
    with pytest.raises(ValueError, match="did you mean sr=16000"):
        load_audio(tmp_path / "clip.wav", 16)
