"""Make the synthetic speech on which speech-mini is pretrained.

Every word of `words.txt` is spoken by espeak-ng in many random combinations of accent,
voice variant, rate, pitch and vocal-tract size. The digits zero to nine and their
homophones are not among the words, so results on spoken digits measure transfer.

    pip install espeakng-loader
    python synthesize.py --out corpus

Writes `corpus/audio-<k>.i16` (16 kHz, 16 bits, utterances end to end) and `corpus/index.npz`.
"""

import argparse
import ctypes
import os
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import espeakng_loader
import numpy as np
import soxr

SR = 16000
HERE = Path(__file__).parent
DIGITS = "zero one two three four five six seven eight nine".split()
ENGLISH = [
    *["en-us", "gmw/en", "en-gb-scotland", "en-gb-x-rp"],
    *["en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"],
]
# Voices of other languages, and how each replaces English sounds it lacks.
FOREIGN = {
    "fr": {"T": "s", "D": "z", "h": ""},
    "de": {"T": "s", "D": "z", "w": "v"},
    "it": {"T": "t", "D": "d", "h": ""},
    "pt-br": {"T": "t", "D": "d"},
    "nl": {"T": "t", "D": "d"},
    "sv": {"T": "t", "D": "d", "z": "s"},
    "hi": {"T": "t", "D": "d", "w": "v"},
    "ru": {"T": "s", "D": "z", "w": "v"},
    "el": {"dZ": "z", "S": "s"},
    "id": {"T": "t", "D": "d", "v": "f"},
    "tr": {"T": "t", "D": "d", "w": "v"},
    "hu": {"T": "s", "D": "d", "w": "v"},
    "fi": {"T": "s", "D": "d", "z": "s"},
    "ta": {"T": "t", "D": "d", "z": "s"},
    "ro": {"T": "t", "D": "d"},
    "da": {"T": "t", "z": "s"},
    "es": {"T": "t", "D": "d", "z": "s"},
    "pl": {"T": "f", "D": "d", "w": "v"},
    "cs": {"T": "s", "D": "z", "w": "v"},
}
UNIVERSAL = {
    **{"I": "i", "I2": "i", "I#": "i", "i:": "i", "E": "e", "aa": "a", "a#": "a", "V": "a"},
    **{"A:": "a", "A@": "ar", "0": "o", "O2": "o", "O:": "o", "O@": "or", "o@": "or", "U": "u"},
    **{"u:": "u", "@": "e", "@-": "e", "@L": "el", "3": "er", "3:": "er", "i@": "ie", "U@": "ur"},
    **{"i@3": "ir", "e@": "er", "aI": "aj", "aI@": "aje", "aI3": "ajer", "eI": "ej", "aU": "aw"},
    **{"oU": "ow", "OI": "oj", "t#": "t", "t2": "t", "n-": "en", "?": "t", ";": "j"},
}
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 klatt5 klatt6 croak "
    "whisper whisperf Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique "
    "Hugo Jacky Lee Marco Mario Michael Mike Nguyen Storm adam anika antonio aunty belinda "
    "benjamin boris caleb david ed edward edward2 grandma grandpa gustave iven iven2 iven3 "
    "iven4 john linda marcelo max michel miguel norbert pablo paul pedro quincy rob robert "
    "sandro shelby steph steph2 steph3 travis victor zac"
).split()
HELD_OUT_VARIANTS = "m3 f2 klatt4 Alicia steph adam edward grandma marcelo Lee".split()
HELD_OUT_LANGUAGES = ["es", "pl", "cs"]


class Espeak:
    """The espeak-ng library, through ctypes."""

    def __init__(self):
        self.lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sr = self.lib.espeak_Initialize(2, 0, data, 0)
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._pieces = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = kind(self._collect)
        self.lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples, n, _events):
        if n > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    def set_voice(self, name):
        return self.lib.espeak_SetVoiceByName(name.encode()) == 0

    def phonemes(self, word):
        """espeak's own phoneme names, stress marks kept, joined by underscores."""
        text = ctypes.c_char_p(word.encode())
        return self.lib.espeak_TextToPhonemes(ctypes.byref(text), 1, ord("_") << 8).decode()

    def say(self, text, rate, pitch, pitch_range):
        for parameter, value in ((1, rate), (3, pitch), (4, pitch_range)):
            self.lib.espeak_SetParameter(parameter, int(value), 0)
        self._pieces.clear()
        data = text.encode()
        self.lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, 0x101, None, None)
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)


@lru_cache(maxsize=1)
def engine():
    return Espeak()


def bare(phonemes):
    """Phoneme list without stress marks."""
    return [p for p in (t.strip("',%=") for t in phonemes.split("_")) if p]


def word_list():
    """The words, one of each set of homophones, none that sounds like a digit."""
    espeak = engine()
    espeak.set_voice("en-us")
    taken = {tuple(bare(espeak.phonemes(digit))) for digit in DIGITS}
    words = []
    for word in (HERE / "words.txt").read_text().split():
        sound = tuple(bare(espeak.phonemes(word)))
        if sound not in taken and word not in DIGITS:
            taken.add(sound)
            words.append(word)
    return words


def with_accent(phonemes, language):
    """Phoneme mnemonics as a speaker of another language would say them."""
    swap = FOREIGN[language]
    spoken = ""
    for token in phonemes.split("_"):
        sound = token.strip("',%=")
        stress = "'" if "'" in token else ""
        spoken += stress + swap.get(sound, UNIVERSAL.get(sound, sound))
    return f"[[{spoken}]]"


def trim(wave, margin):
    loud = np.flatnonzero(np.abs(wave) > 0.004 * np.abs(wave).max())
    return wave[max(0, loud[0] - margin) : loud[-1] + margin]


def random_voice(rng):
    language = str(rng.choice(list(FOREIGN) if rng.random() < 0.2 else ENGLISH))
    return language, str(rng.choice(VARIANTS))


def speak(word, phonemes, rng, voice=None):
    """One random utterance: (samples at 16 kHz, language, variant), or None."""
    espeak = engine()
    language, variant = voice or random_voice(rng)
    if not espeak.set_voice(f"{language}+{variant}"):
        return None
    text = with_accent(phonemes, language) if language in FOREIGN else word
    wave = espeak.say(text, rng.uniform(95, 240), rng.uniform(15, 85), rng.uniform(10, 90))
    if not 0.08 * espeak.sr < len(wave) < 4 * espeak.sr or not wave.any():
        return None
    # Resampling to another rate scales formants, as another vocal tract would.
    size = np.exp(rng.uniform(np.log(0.85), np.log(1.18)))
    wave = soxr.resample(trim(wave.astype(np.float32), 200), espeak.sr, SR * size, quality="MQ")
    wave *= 0.7 / np.abs(wave).max()
    return np.round(wave * 32767).astype(np.int16), language, variant


def speak_words(job):
    """Utterances of some words, written to one file; returns their index rows."""
    part, path, words, per_word, seed = job
    rows, at = [], 0
    with open(path, "wb") as file:
        for number, word in words:
            rng = np.random.default_rng([seed, number])
            engine().set_voice("en-us")
            phonemes = engine().phonemes(word)
            for _ in range(per_word):
                spoken = speak(word, phonemes, rng)
                if spoken is None:
                    continue
                wave, language, variant = spoken
                file.write(wave.tobytes())
                rows.append((part, at, len(wave), number, language, variant))
                at += len(wave)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("corpus"))
    parser.add_argument("--per-word", type=int, default=100)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    words = word_list()
    engine().set_voice("en-us")
    phonemes = [" ".join(bare(engine().phonemes(word))) for word in words]
    jobs = [
        (
            part,
            options.out / f"audio-{part}.i16",
            list(enumerate(words))[part :: options.parts],
            options.per_word,
            options.seed,
        )
        for part in range(options.parts)
    ]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        rows = [row for part in pool.map(speak_words, jobs) for row in part]
    columns = list(zip(*rows, strict=True))
    np.savez_compressed(
        options.out / "index.npz",
        words=words,
        phonemes=phonemes,
        digits=DIGITS,
        **dict(zip(["part", "start", "length", "word"], map(np.array, columns[:4]), strict=True)),
        language=np.array(columns[4]),
        variant=np.array(columns[5]),
    )
    hours = sum(columns[2]) / SR / 3600
    voices = len(set(zip(columns[4], columns[5], strict=True)))
    print(f"{len(rows)} utterances, {len(words)} words, {voices} voices, {hours:.1f} hours")


if __name__ == "__main__":
    main()
