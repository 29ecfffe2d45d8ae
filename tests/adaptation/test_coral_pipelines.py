import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl.adaptation import CORALTransformer


def two_domains():
    """60 source rows, then 50 target rows, of different mean and covariance, and labels."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2, 4, 4))
    source = rng.normal(size=(60, 4)) @ mixing[0] - 1
    target = rng.normal(size=(50, 4)) @ mixing[1] + 3
    X, domain = np.concatenate([source, target]), np.repeat([1, -1], [60, 50])
    return X, np.arange(110) % 3, domain


def routed_pipe():
    return make_pipeline(
        StandardScaler().set_fit_request(sample_weight=False),
        CORALTransformer(),
        LogisticRegression()
        .set_fit_request(sample_weight=True)
        .set_score_request(sample_weight=True),
    )


def test_pipeline_with_and_without_routing_is_bit_equal():
    X, y, domain = two_domains()
    weight = (domain >= 0).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = routed_pipe().fit(X, y, sample_domain=domain, sample_weight=weight)
        routed_proba = routed.predict_proba(X)
        mapped_proba = routed.predict_proba(X, sample_domain=domain)
    plain = make_pipeline(StandardScaler(), CORALTransformer(), LogisticRegression())
    plain.fit(
        X,
        y,
        coraltransformer__sample_domain=domain,
        logisticregression__sample_weight=weight,
    )
    np.testing.assert_array_equal(plain.predict_proba(X), routed_proba)
    target = domain < 0
    np.testing.assert_array_equal(mapped_proba[target], routed_proba[target])
    assert np.abs(mapped_proba[~target] - routed_proba[~target]).max() > 1e-3


def test_zero_weights_leave_target_labels_out_of_a_pipeline():
    X, y, domain = two_domains()
    source = domain >= 0
    aligned = CORALTransformer().fit_transform(X, sample_domain=domain)
    expected = LogisticRegression(tol=1e-10).fit(aligned[source], y[source])
    pipe = make_pipeline(CORALTransformer(), LogisticRegression(tol=1e-10))
    pipe.fit(
        X,
        np.where(source, y, 0),
        coraltransformer__sample_domain=domain,
        logisticregression__sample_weight=source.astype(float),
    )
    np.testing.assert_allclose(pipe.predict_proba(X), expected.predict_proba(X), atol=1e-4)


def test_grid_search_hands_domains_on():
    X, y, domain = two_domains()
    weight = (domain >= 0).astype(float)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(routed_pipe(), {"coraltransformer__reg": [0.1, 1.0]}, cv=folds)
        search.fit(X, y, sample_domain=domain, sample_weight=weight)
    assert search.best_params_["coraltransformer__reg"] in (0.1, 1.0)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


SKADA_SCRIPT = """
import numpy as np
from skada import make_da_pipeline
from skada.metrics import PredictionEntropyScorer
from skada.model_selection import SourceTargetShuffleSplit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sktl.adaptation import CORALTransformer

rng = np.random.default_rng(0)
X, domain = rng.normal(size=(120, 3)), np.repeat([1, -2], 60)
y = np.where(domain > 0, X[:, 0] > 0, -1).astype(int)
X[60:] = X[60:] @ rng.normal(size=(3, 3)) + 2
pipe = make_da_pipeline(CORALTransformer(), LogisticRegression())
pipe.fit(X, y, sample_domain=domain)
aligned = CORALTransformer().fit_transform(X, sample_domain=domain)
expected = LogisticRegression().fit(aligned[:60], y[:60]).predict(aligned)
predicted = pipe.predict(X, sample_domain=domain, allow_source=True)
np.testing.assert_array_equal(predicted, expected)
predicted = pipe.predict(X[60:], sample_domain=domain[60:], allow_source=False)
np.testing.assert_array_equal(predicted, expected[60:])
scores = cross_val_score(
    pipe, X, y, params={"sample_domain": domain}, scoring=PredictionEntropyScorer(),
    cv=SourceTargetShuffleSplit(n_splits=2, random_state=0),
)
assert np.isfinite(scores).all()
"""


@pytest.mark.skipif(importlib.util.find_spec("skada") is None, reason="skada is not installed")
def test_pipelines_of_skada_run_unchanged():
    # In its own process: importing skada changes scikit-learn's configuration.
    done = subprocess.run([sys.executable, "-c", SKADA_SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
