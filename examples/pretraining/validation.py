"""Few-shot episodes on synthetic words and voices that training never sees.

Each voice records under conditions of its own. An episode takes ten words, five clips per
word from one voice, fits a logistic regression on their embeddings and tests it on the
other voices: the shape of the final test on real speech, without touching it.
"""

import numpy as np
import torch
from augment import Conditions
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthesize import ENGLISH, HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS, engine, speak

N_TAKES = 5


def validation_clips(words, n_samples, seed):
    """Clips of shape (n_words, n_voices, n_takes, n_samples), degraded voice by voice."""
    languages = [*ENGLISH[:4], *ENGLISH[6:8], *HELD_OUT_LANGUAGES]
    voices = list(zip(languages, HELD_OUT_VARIANTS, strict=False))
    engine().set_voice("en-us")
    phonemes = [engine().phonemes(word) for word in words]
    clips = torch.zeros(len(words), len(voices), N_TAKES, n_samples)
    for v, voice in enumerate(voices):
        rng = np.random.default_rng([seed, 7, v])
        generator = torch.Generator().manual_seed(1000 * seed + v)
        conditions = Conditions(1, generator)
        for w, word in enumerate(words):
            waves = [speak(word, phonemes[w], rng, voice)[0] for _ in range(N_TAKES)]
            waves = [torch.from_numpy(x.astype(np.float32) / 32768) for x in waves]
            clips[w, v] = conditions.degrade(waves, n_samples)
    return clips


@torch.no_grad()
def embed(network, clips, batch=128):
    units = torch.cat(network.front_end(list(clips.flatten(0, -2))))
    found = torch.cat([network(part) for part in units.split(batch)])
    return found.unflatten(0, clips.shape[:-1]).numpy()


def episodes(network, clips, seed, n_episodes=36):
    """Mean accuracy over episodes."""
    return score_episodes(embed(network, clips), seed, n_episodes)


def score_episodes(embedding, seed, n_episodes=36):
    n_words, n_voices, n_takes, size = embedding.shape
    rng = np.random.default_rng(seed)
    scores = []
    for number in range(n_episodes):
        words = rng.choice(n_words, 10, replace=False)
        voice = number % n_voices
        others = np.delete(np.arange(n_voices), voice)
        train = embedding[words, voice].reshape(-1, size)
        test = embedding[words][:, others].reshape(-1, size)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(train, np.repeat(np.arange(10), n_takes))
        scores.append(model.score(test, np.repeat(np.arange(10), len(test) // 10)))
    return round(float(np.mean(scores)), 4)
