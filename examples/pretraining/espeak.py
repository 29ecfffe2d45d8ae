"""espeak-ng through ctypes: its voices, and how a foreign voice reads English."""

import ctypes
from functools import lru_cache

import espeakng_loader
import numpy as np

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
OTHER_LANGUAGES = [x for x in FOREIGN if x not in HELD_OUT_LANGUAGES]


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

    def ipa(self, word):
        text = ctypes.c_char_p(word.encode())
        return self.lib.espeak_TextToPhonemes(ctypes.byref(text), 1, 2).decode()

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


def with_accent(phonemes, language):
    """Phoneme mnemonics as a speaker of another language would say them."""
    swap = FOREIGN[language]
    spoken = ""
    for token in phonemes.split("_"):
        sound = token.strip("',%=")
        stress = "'" if "'" in token else ""
        spoken += stress + swap.get(sound, UNIVERSAL.get(sound, sound))
    return f"[[{spoken}]]"
