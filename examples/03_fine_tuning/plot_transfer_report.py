"""
What is a pretrained start worth?
=================================

*Forty labelled clips of spoken digits: how much better is a network that has heard speech before
than the same one from scratch?*

The shipped synthetic voices: every fold trains on ten of the twenty takes' speakers and tests on
speakers that were never labelled. "speech-mini" was trained on other words; its head is solved, its
body stays as it is. The same network from random weights is trained whole on the same clips.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktl import FineTunedClassifier
from sktl.datasets import load_voices
from sktl.model_selection import transfer_report
from sktl.plotting import TrainingDisplay

voices = load_voices()
rows = np.flatnonzero(voices.sample_domain > 0)[::3]
clips = [voices.data[i] for i in rows]
y, speaker = voices.target[rows], voices.speaker[rows]

# %%
# A linear probe against training from scratch
# --------------------------------------------

probe = FineTunedClassifier(frozen_layers="all", max_epochs=15, random_state=0)
report = transfer_report(probe, clips, y, groups=speaker, cv=3, random_state=0)
print(report)
report.plot()
plt.show()

# %%
# Epoch by epoch
# --------------
#
# The head learns alone for three epochs, then one block after the other is released. Whole speakers
# are held out.

tuned = FineTunedClassifier(
    frozen_layers=-3,
    head_epochs=3,
    unfreeze_every=2,
    early_stopping=True,
    validation_fraction=0.2,
    max_epochs=12,
    lr=3e-4,
    random_state=0,
)
tuned.fit(clips, y, groups=speaker)
TrainingDisplay.from_estimator(tuned)
plt.show()

# %%
# What to try next: ``backbone="yamnet"`` on recordings of your own, ``augment=`` with a function
# that adds your kind of noise, and a grid over ``frozen_layers`` and ``layer_decay`` with
# ``memory=":memory:"``, so that what is frozen is computed once for all candidates.
