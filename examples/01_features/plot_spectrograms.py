"""
What a telephone does to a voice
================================

*A model learns from studio recordings and then listens to telephone calls: what changes in the
numbers that it is given?*

The same word, "seven", by two synthetic voices that ship with the library: one in a studio, one
in a small room, over a telephone line.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktl import MFCC, MelSpectrogram
from sktl.datasets import load_voices
from sktl.plotting import SpectrogramDisplay

voices = load_voices()
domains = {"studio": 1, "telephone": -2}

is_seven = voices.target == voices.target_names.index("seven")
words = {
    place: voices.data[np.flatnonzero(is_seven & (voices.sample_domain == domain))[0]]
    for place, domain in domains.items()
}

# %%
# The picture that a network is given
# -----------------------------------
#
# `from_transformer` computes the features of one clip and draws them, with time in seconds and
# frequency in Hz on the transformer's own mel scale. ``ref="max"`` makes the loudest value of a
# clip 0 dB, and equal limits make the colours comparable. The line is made for 300 to 3400 Hz:
# the hiss of the "s" before 0.1 s is nearly lost, the deepest bands are dark, and noise fills what
# was silent.

mel = MelSpectrogram(ref="max", top_db=60)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (place, clip) in zip(axes, words.items(), strict=True):
    display = SpectrogramDisplay.from_transformer(mel, clip, ax=ax, vmin=-60, colorbar=False)
    ax.set_title(place)
    ax.label_outer()
figure.colorbar(display.im_, ax=axes, label=display.value_label)
plt.show()

# %%
# The coefficients that a classical model is given
# ------------------------------------------------
#
# Cepstral coefficients describe the shape of each frame's spectrum, all but the first, which is its
# overall level and would dwarf the others: it is left out of the picture. `from_array` draws what
# is there already.

mfcc = MFCC(n_mfcc=13, pooling=None)
picture = {"y_axis": "coefficients", "names": range(1, 13), "cmap": "RdBu_r"}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (place, clip) in zip(axes, words.items(), strict=True):
    coefficients = mfcc.fit_transform([clip])[0, 1:]
    display = SpectrogramDisplay.from_array(
        coefficients, **picture, ax=ax, vmin=-100, vmax=100, colorbar=False
    )
    ax.set_title(place)
    ax.label_outer()
figure.colorbar(display.im_, ax=axes, label=display.value_label)
plt.show()

# %%
# The change in numbers
# ---------------------
#
# Over all words and voices: by how many standard deviations does the telephone move the mean of
# each coefficient? A classifier trained in the studio meets rows from somewhere else.

means = MFCC(n_mfcc=13, pooling="mean").fit_transform(voices.data)
studio, telephone = (means[voices.sample_domain == domain] for domain in domains.values())
shift = (telephone.mean(axis=0) - studio.mean(axis=0)) / studio.std(axis=0)
for k, value in enumerate(shift):
    print(f"coefficient {k:>2}: {value:+.1f} standard deviations")

# %%
# What to try next: ``MelSpectrogram(fmin=300, fmax=3400)``, which looks only where the telephone
# does, or ``normalize="band"``; recordings of your own, whose path may stand in place of the clip;
# and :doc:`the quickstart <../quickstart>`, where a classifier learns to bridge the difference.
