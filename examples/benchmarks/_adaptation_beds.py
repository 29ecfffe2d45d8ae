"""Test beds for adaptation: real recordings whose target domain differs from the source."""

import numpy as np
from _adaptation_runs import Bed

from sktl import DomainShift, MelSpectrogram
from sktl.audio import load_audio
from sktl.datasets import fetch_fsdd, load_esc10


def fsdd_cnn() -> Bed:
    """Spoken digits of a new speaker; a small network from scratch on log-mel spectrograms."""
    front_end = MelSpectrogram(sr=8000, n_fft=256, hop_length=80, n_mels=40, duration=0.64)
    data = fetch_fsdd(download_if_missing=False)
    X = front_end.fit_transform(data.paths).astype(np.float32)
    network = {"backbone": "cnn", "max_epochs": 30}
    # The network has no batch normalisation, which is all that AdaBN changes.
    return Bed("fsdd-cnn", network, _speakers(data, X), leave_out=("AdaBN",))


def fsdd_speech_mini() -> Bed:
    """Spoken digits of a new speaker; the shipped network, its last two blocks fine-tuned."""
    data = fetch_fsdd(download_if_missing=False)
    network = {"backbone": "speech-mini", "frozen_layers": -2, "max_epochs": 20}
    return Bed("fsdd-speech-mini", network, _speakers(data, data.paths))


def esc10_telephone() -> Bed:
    """Sounds over the telephone, YAMNet trained on clean ones."""
    return _esc10("esc10-telephone", DomainShift(codec="gsm"))


def esc10_noise() -> Bed:
    """Sounds in pink noise of 5 dB SNR, YAMNet trained on clean ones."""
    return _esc10("esc10-noise", DomainShift(band=None, noise="pink", snr=5.0, random_state=0))


def _esc10(name: str, shift: DomainShift) -> Bed:
    data = load_esc10()
    clips = [load_audio(path, 16000) for path in data.paths]
    X = [*clips, *shift.fit_transform(clips)]
    tasks = {}
    for first in range(1, 6):
        # Recordings of the target are none of the source's.
        heard = np.isin(data.groups, [(first + k - 1) % 5 + 1 for k in range(3)])
        rows = np.concatenate([np.flatnonzero(heard), len(clips) + np.flatnonzero(~heard)])
        y = np.concatenate([data.target, data.target])[rows]
        sample_domain = np.where(rows < len(clips), 1, -1)
        tasks[f"folds{first}"] = ([X[i] for i in rows], y, sample_domain)
    network = {"backbone": "yamnet", "frozen_layers": -1, "max_epochs": 20}
    return Bed(name, network, tasks)


def _speakers(data, X):
    return {
        str(speaker): (X, data.target, np.where(data.speaker == speaker, -1, 1))
        for speaker in np.unique(data.speaker)
    }


BEDS = {
    "fsdd-cnn": fsdd_cnn,
    "fsdd-speech-mini": fsdd_speech_mini,
    "esc10-telephone": esc10_telephone,
    "esc10-noise": esc10_noise,
}
