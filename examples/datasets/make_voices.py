"""Make the data behind :func:`sktl.datasets.load_voices`.

The ten English digits by 28 synthetic voices of espeak-ng, three takes each. Fourteen voices are
the source domain: clean speech. The other fourteen are the target domain: each speaks in a small
room of its own, with noise, and is heard over a telephone line (300 to 3400 Hz).

The shipped files were made with espeak-ng 1.51 (Debian 12: ``apt install espeak-ng``); other
versions pronounce and time the words differently. All random numbers come from fixed seeds.

    python examples/datasets/make_voices.py           # writes sktl/datasets/data/voices
    python examples/datasets/make_voices.py --check   # compares with what is there
"""

import argparse
import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from scipy import signal

FOLDER = Path(__file__).resolve().parents[2] / "sktl" / "datasets" / "data" / "voices"
ESPEAK_VERSION = "1.51"
SR = 16000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
N_TAKES = 3
SEED = 20240501
# Quantisation step in units of 16-bit samples. FLAC gains from powers of two alone, and the
# telephone's own noise hides the coarser one.
STEP = {"clean": 64, "telephone": 128}
# espeak-ng's voice and variant, and the middle of the pitches drawn (0 to 99).
VOICES = {
    "clean": [
        ("en-us", "f2", 55),
        ("en-us", "m3", 45),
        ("en-us", "klatt4", 50),
        ("en-gb", "f1", 55),
        ("en-gb", "m1", 35),
        ("en-gb-x-rp", "Andrea", 50),
        ("en-gb-x-rp", "m4", 50),
        ("en-gb-scotland", "belinda", 50),
        ("en-gb-scotland", "klatt2", 45),
        ("en-gb-x-gbclan", "Annie", 50),
        ("en-gb-x-gbclan", "m5", 50),
        ("en-029", "Linda", 50),
        ("en-029", "paul", 50),
        ("en-us-nyc", "mike", 50),
    ],
    "telephone": [
        ("en-us", "f3", 50),
        ("en-us", "m6", 40),
        ("en-us", "adam", 50),
        ("en-gb", "steph2", 50),
        ("en-gb", "m2", 55),
        ("en-gb-x-rp", "f4", 50),
        ("en-gb-x-rp", "klatt6", 50),
        ("en-gb-scotland", "anika", 50),
        ("en-gb-scotland", "david", 50),
        ("en-gb-x-gbclan", "f5", 50),
        ("en-gb-x-gbclan", "klatt5", 50),
        ("en-029", "klatt3", 45),
        ("en-us-nyc", "aunty", 50),
        ("en-us-nyc", "m8", 50),
    ],
}


def speak(word, accent, variant, *, pitch, speed):
    """Return the samples of `word` at 16 kHz, peak 1, with 20 ms of silence around them."""
    command = ["espeak-ng", "-z", "-v", f"{accent}+{variant}", "-p", str(pitch), "-s", str(speed)]
    wav = subprocess.run([*command, "--stdout", word], capture_output=True, check=True).stdout
    # A streamed header has no length: the samples are all that follows its 44 bytes.
    rate = int.from_bytes(wav[24:28], "little")
    samples = np.frombuffer(wav[44 : len(wav) // 2 * 2], dtype="<i2") / 32768
    samples = soxr.resample(samples, rate, SR, quality="HQ")
    samples /= np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[max(loud[0] - 320, 0) : loud[-1] + 320]


def room_response(rng, *, duration=0.15):
    """Impulse response of a small rectangular room by image sources (Allen and Berkley 1979)."""
    size = rng.uniform([2.5, 2.0, 2.2], [4.5, 3.5, 2.8])
    source, microphone = rng.uniform(0.25, 0.75, (2, 3)) * size
    reflection = rng.uniform(0.3, 0.5)
    order = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = order * size + np.where(order % 2 == 1, size - source, source)
    distance = np.linalg.norm(images - microphone, axis=1)
    gain = reflection ** np.abs(order).sum(1) / distance
    delay = (distance - distance.min()) / 343.0 * SR
    early = delay < duration * SR
    whole = delay[early].astype(int)
    part = delay[early] - whole
    response = np.zeros(int(duration * SR) + 2)
    np.add.at(response, whole, gain[early] * (1 - part))
    np.add.at(response, whole + 1, gain[early] * part)
    return response / np.linalg.norm(response)


def pink_noise(rng, n):
    """Return `n` samples whose power falls as 1/f above 50 Hz."""
    spectrum = rng.standard_normal(n // 2 + 1) + 1j * rng.standard_normal(n // 2 + 1)
    frequency = np.fft.rfftfreq(n, 1 / SR)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 50.0)), n)


def over_telephone(clip, response, rng, *, snr_db):
    """Put a clean clip into a room with noise and send it over a telephone line, peak 1."""
    clip = np.concatenate([clip, np.zeros(960)])
    band = signal.butter(3, [300, 3400], "bandpass", fs=SR, output="sos")
    speech = signal.sosfilt(band, signal.fftconvolve(clip, response)[: clip.size])
    noise = signal.sosfilt(band, pink_noise(rng, clip.size))
    heard = speech + noise * speech.std() / noise.std() * 10 ** (-snr_db / 20)
    heard += rng.standard_normal(clip.size) * heard.std() * 10 ** (-50 / 20)
    return heard / np.abs(heard).max()


def make_domain(domain):
    """Return the samples of one domain end to end, and a row of facts per clip."""
    clips, rows, start = [], [], 0
    for speaker, (accent, variant, base_pitch) in enumerate(VOICES[domain]):
        seed = [SEED, list(VOICES).index(domain), speaker]
        rng = np.random.default_rng(seed)
        response = room_response(rng)
        snr_db = rng.uniform(20, 30)
        for digit, word in enumerate(DIGITS):
            for take in range(N_TAKES):
                rng = np.random.default_rng([*seed, digit, take])
                pitch = int(base_pitch + rng.integers(-12, 13))
                speed = int(rng.integers(150, 221))
                level = 10 ** (rng.uniform(-12, -4) / 20)
                clip = speak(word, accent, variant, pitch=pitch, speed=speed)
                if domain == "telephone":
                    clip = over_telephone(clip, response, rng, snr_db=snr_db)
                steps = np.round(clip * level * 32768 / STEP[domain])
                clips.append((steps * STEP[domain]).astype(np.int16))
                rows.append([domain, start, clip.size, digit, f"{accent}+{variant}", take])
                start += clip.size
    return np.concatenate(clips), rows


def index_text(rows):
    """Return the index of clips as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["domain", "start", "n_samples", "digit", "speaker", "take"])
    writer.writerows(rows)
    return text.getvalue()


def write(folder, made, index):
    """Write one FLAC file per domain and the index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.csv").write_text(index, encoding="utf-8")
    for domain, samples in made.items():
        path = folder / f"{domain}.flac"
        sf.write(path, samples, SR, subtype="PCM_16", compression_level=1.0)
        print(f"{path}: {samples.size / SR:.0f} s, {path.stat().st_size:,} bytes")


def check(folder, made, index):
    """Compare what was made with what lies in `folder`; True when all of it is equal."""
    equal = {"index.csv": (folder / "index.csv").read_text(encoding="utf-8") == index}
    for domain, samples in made.items():
        shipped, _ = sf.read(folder / f"{domain}.flac", dtype="int16")
        equal[f"{domain}.flac"] = np.array_equal(shipped, samples)
    for name, same in equal.items():
        print(f"{folder / name}: {'identical' if same else 'DIFFERENT'}")
    return all(equal.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the data lies")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True)
    if f" {ESPEAK_VERSION} " not in version.stdout:
        print(f"The data were made with espeak-ng {ESPEAK_VERSION}; this is {version.stdout}")
    domains = {domain: make_domain(domain) for domain in VOICES}
    made = {domain: samples for domain, (samples, _) in domains.items()}
    index = index_text([row for _, rows in domains.values() for row in rows])
    if args.check:
        return 0 if check(args.folder, made, index) else 1
    write(args.folder, made, index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
