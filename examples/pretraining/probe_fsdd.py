"""How well does speech-mini tell real digits of unknown speakers, from five clips each?

The network heard synthetic speech only, and no digit. Five clips per digit of one
speaker of the Free Spoken Digit Dataset train a logistic regression, which is tested on all
clips of the other five speakers; each speaker is the training speaker in turn, for several
random draws. Compared: statistics of MFCCs, the network with random weights, the shipped
network.

    SKTL_HOME=<folder> python probe_fsdd.py      (clips in <folder>/data/fsdd)
"""

import argparse
import json
import os
from pathlib import Path

import librosa
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl.backbones import make_backbone

N_PER_DIGIT = 5


def load(folder):
    paths = sorted(folder.glob("*.wav"))
    fields = [path.stem.split("_") for path in paths]
    digit = np.array([int(f[0]) for f in fields])
    speaker = np.array([f[1] for f in fields])
    return paths, digit, speaker


def mfcc_statistics(paths):
    rows = []
    for path in paths:
        wave, sr = librosa.load(path, sr=None)
        mfcc = librosa.feature.mfcc(y=wave, sr=sr, n_mfcc=20, n_fft=256, hop_length=80)
        rows.append(np.concatenate([mfcc.mean(1), mfcc.std(1)]))
    return np.array(rows)


@torch.no_grad()
def embeddings(paths, weights="pretrained", seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_backbone("speech-mini", weights=weights).eval()
    rows = []
    for path in paths:
        wave = librosa.load(path, sr=network.input_spec.sr)[0]
        [units] = network.front_end([torch.from_numpy(wave)])
        rows.append(network(units).mean(0).numpy())
    return np.array(rows)


def accuracies(features, digit, speaker, n_draws):
    """Accuracy of each training speaker and draw: (n_speakers, n_draws)."""
    table = np.zeros((len(np.unique(speaker)), n_draws))
    for row, name in enumerate(np.unique(speaker)):
        unknown = speaker != name
        for draw in range(n_draws):
            rng = np.random.default_rng([row, draw])
            train = np.concatenate(
                [
                    rng.choice(np.flatnonzero(~unknown & (digit == d)), N_PER_DIGIT, replace=False)
                    for d in range(10)
                ]
            )
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            model.fit(features[train], digit[train])
            table[row, draw] = model.score(features[unknown], digit[unknown])
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    home = Path(os.environ.get("SKTL_HOME", "."))
    parser.add_argument("--fsdd", type=Path, default=home / "data" / "fsdd")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--random-seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths, digit, speaker = load(options.fsdd)
    print("training speaker        " + "".join(f"{name:>10}" for name in np.unique(speaker)))
    random = [embeddings(paths, None, seed) for seed in range(options.random_seeds)]
    candidates = {
        "MFCC mean and std": [mfcc_statistics(paths)],
        "random weights": random,
        "speech-mini": [embeddings(paths)],
    }
    report = {}
    for name, versions in candidates.items():
        table = np.mean([accuracies(x, digit, speaker, options.draws) for x in versions], axis=0)
        by_speaker, spread = table.mean(1), table.mean(0).std(ddof=1)
        report[name] = {
            "mean": round(float(table.mean()), 4),
            "std_over_draws": round(float(spread), 4),
            "by_training_speaker": dict(
                zip(np.unique(speaker).tolist(), by_speaker.round(4).tolist(), strict=True)
            ),
        }
        row = "".join(f"{value:10.3f}" for value in by_speaker)
        print(f"{name:24}{row}   mean {table.mean():.3f} ± {spread:.3f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
