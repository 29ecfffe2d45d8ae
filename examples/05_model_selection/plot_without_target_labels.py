"""
Choosing without labels of the target
=====================================

*Several methods adapt to the telephone, one of them does so best, and no label tells which: what
can?*

The recordings come with the package: synthetic voices say digits, some of them clean and labelled,
others over the telephone. Their labels are there too, so that the choices can be judged
afterwards; :func:`~sktl.model_selection.adaptation_report` masks them in training and in every
score but the oracle.
"""

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import (
    MFCC,
    CORALTransformer,
    DomainAdaptiveClassifier,
    DomainStandardScaler,
    FineTunedClassifier,
    ImportanceWeightedClassifier,
)
from sktl.datasets import load_voices
from sktl.model_selection import adaptation_report
from sktl.plotting import DomainShiftDisplay

X, y, sample_domain = load_voices(return_X_y=True)
rows = MFCC().fit_transform(X)
print(f"{(sample_domain >= 0).sum()} clean clips, {(sample_domain < 0).sum()} over the telephone")

# %%
# Candidates
# ----------
#
# Pipelines around a classical model, and networks with different terms of adaptation.

network = {"max_epochs": 20, "random_state": 0}
linear = LogisticRegression(C=0.1, max_iter=1000)
candidates = {
    "logistic regression": make_pipeline(StandardScaler(), linear),
    "scaled per domain": make_pipeline(DomainStandardScaler(), linear),
    "CORAL": make_pipeline(StandardScaler(), CORALTransformer(), linear),
    "importance weights": make_pipeline(
        StandardScaler(), ImportanceWeightedClassifier(linear, "rulsif", random_state=0)
    ),
    "network": DomainAdaptiveClassifier(**network),
    "network, MMD": DomainAdaptiveClassifier(lambda_mmd=1.0, **network),
    "network, DANN": DomainAdaptiveClassifier(lambda_adv=1.0, **network),
    "network, MCC": DomainAdaptiveClassifier(lambda_mcc=1.0, **network),
}

# %%
# Each is trained and scored three times, on different folds of both domains
# --------------------------------------------------------------------------

report = adaptation_report(
    candidates, rows, y, sample_domain, source_only=candidates["network"], cv=3, random_state=0
)
for name, values in zip(report.names, report.target_accuracy.mean(axis=1), strict=True):
    print(f"{name:<22}{values:.3f}")
print()
print(report)

# %%
# A point for what each score would have chosen
# ---------------------------------------------

report.plot()
plt.show()

# %%
# What adaptation does to the embedding
# -------------------------------------
#
# One of the networks, beside one that has seen clean clips alone.

adapted = candidates["network, DANN"].fit(rows, y, sample_domain=sample_domain)
source = sample_domain >= 0
plain = FineTunedClassifier(**network).fit(rows[source], y[source])
DomainShiftDisplay.from_estimator(adapted, rows, sample_domain, before=plain, y=y)
plt.show()
