"""Alignment by kernel means, and the transformer it leaves."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktl import FineTunedClassifier, MMDAligner

COMMON = {"max_epochs": 40, "lr": 2e-3, "random_state": 0}


def test_the_domains_come_together(shifted):
    X, y, sample_domain = shifted
    target = sample_domain < 0
    masked = np.where(target, -1, y)
    gaps = []
    for weight in (0.0, 5.0):
        aligner = MMDAligner(lambda_mmd=weight, **COMMON).fit(X, masked, sample_domain)
        rows = aligner.transform(X)
        rows = rows / rows.std()
        gaps.append(np.linalg.norm(rows[target].mean(0) - rows[~target].mean(0)))
        assert aligner.score(X[~target], y[~target]) > 0.95
    assert gaps[1] < 0.8 * gaps[0]
    plain = FineTunedClassifier(**COMMON).fit(X, masked, sample_domain)
    assert aligner.score(X[target], y[target]) > plain.score(X[target], y[target])


def test_the_embedding_is_what_the_head_sees(blobs):
    X, y, sample_domain = blobs
    aligner = MMDAligner(max_epochs=3, random_state=0).fit(X, y, sample_domain)
    head = aligner.net_.module_.head
    logits = aligner.transform(X) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], aligner.decision_function(X))


def test_a_classical_model_follows_and_names_come_out(blobs):
    X, y, sample_domain = blobs
    aligner = MMDAligner(max_epochs=3, random_state=0)
    pipe = make_pipeline(aligner, LogisticRegression())
    assert pipe.fit(X, y, mmdaligner__sample_domain=sample_domain).predict(X).shape == (60,)
    names = pipe[0].get_feature_names_out()
    assert [names[0], names[-1], len(names)] == ["mmdaligner0", "mmdaligner255", 256]


def test_transform_leaves_out_no_row_and_refuses_source_rows_on_demand(blobs):
    X, y, sample_domain = blobs
    aligner = MMDAligner(max_epochs=1, random_state=0)
    both = aligner.fit_transform(X, y, sample_domain)
    np.testing.assert_array_equal(aligner.transform(X), both)
    assert both.shape == (60, 256)
    with pytest.raises(ValueError, match="allow_source=False but sample_domain marks"):
        aligner.transform(X, sample_domain, allow_source=False)
