"""A head that is solved, against scikit-learn's logistic regression and numeric gradients."""

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn

from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier
from sktl.classifiers._probe import solve_head

N = 90


@pytest.fixture
def rows():
    """Rows of 5 features, overlapping classes 0 to 2, weights."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, N)
    X = generator.normal(size=(N, 5)) + np.eye(5)[y]
    return X, y, generator.uniform(0.1, 3.0, N)


def logistic(X, y, weight, strength):
    """scikit-learn's optimum for the mean loss and half of `strength` times the squares."""
    # Of two classes it keeps one row of coefficients, whose square is twice that of both.
    factor = 2.0 if len(set(y)) == 2 else 1.0
    model = LogisticRegression(C=factor / (strength * weight.sum()), tol=1e-10, max_iter=10_000)
    return model.fit(X, y, sample_weight=weight)


def check_same(coefficients, model):
    """Coefficients are the same; intercepts up to a constant."""
    slopes, intercepts = coefficients[:, :-1], coefficients[:, -1]
    if len(model.classes_) == 2:
        slopes, intercepts = np.diff(slopes, axis=0), np.diff(intercepts)
        np.testing.assert_allclose(intercepts, model.intercept_, atol=1e-4)
    else:
        gaps = intercepts - model.intercept_
        np.testing.assert_allclose(gaps, np.full(len(gaps), gaps[0]), atol=1e-4)
    np.testing.assert_allclose(slopes, model.coef_, atol=1e-4)


@pytest.mark.parametrize("strength", [1e-3, 0.01, 1.0])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_solution_is_that_of_scikit_learn(rows, n_classes, strength, weighted):
    X, y, weight = rows
    y = y % n_classes
    weight = weight if weighted else np.ones(N)
    found, loss, n_iterations = solve_head(X, y, weight, n_classes, weight_decay=strength)
    model = logistic(X, y, weight, strength)
    check_same(found, model)
    logs = model.predict_log_proba(X)[np.arange(N), y]
    assert loss == pytest.approx(-np.average(logs, weights=weight), abs=1e-6)
    assert 0 < n_iterations < 200


def objective(flat, X, y, weight, strength, smoothing):
    """The loss by its formula: each label is a mixture with all classes."""
    coefficients = flat.reshape(3, -1)
    logs = log_softmax(X @ coefficients[:, :-1].T + coefficients[:, -1], axis=1)
    own = logs[np.arange(len(y)), y]
    losses = -(1 - smoothing) * own - smoothing * logs.mean(1)
    return np.average(losses, weights=weight) + strength / 2 * (coefficients[:, :-1] ** 2).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_at_the_solution_the_numeric_gradient_is_zero(rows, smoothing):
    X, y, weight = rows
    found, loss, _ = solve_head(X, y, weight, 3, weight_decay=0.02, label_smoothing=smoothing)
    arguments = X, y, weight, 0.02, smoothing
    assert np.abs(approx_fprime(found.ravel(), objective, 1e-6, *arguments)).max() < 1e-5
    penalty = 0.01 * (found[:, :-1] ** 2).sum()
    assert loss == pytest.approx(objective(found.ravel(), *arguments) - penalty)


def test_the_loss_is_torchs_with_smoothed_labels(rows):
    X, y, _ = rows
    found, loss, _ = solve_head(X, y, np.ones(N), 3, weight_decay=0.1, label_smoothing=0.2)
    logits = torch.as_tensor(X @ found[:, :-1].T + found[:, -1])
    expected = nn.functional.cross_entropy(logits, torch.as_tensor(y), label_smoothing=0.2)
    assert loss == pytest.approx(float(expected))


def test_a_start_at_the_solution_is_left_where_it_is(rows):
    X, y, weight = rows
    found, _, n_cold = solve_head(X, y, weight, 3, weight_decay=0.1)
    again, _, n_warm = solve_head(X, y, weight, 3, weight_decay=0.1, start=found)
    np.testing.assert_allclose(again, found, atol=1e-6)
    assert n_warm < n_cold / 2


def test_float32_embeddings_are_solved_in_float64(rows):
    X, y, weight = rows
    X = X.astype(np.float32)
    found = solve_head(X, y, weight.astype(np.float32), 3, weight_decay=0.1)[0]
    assert found.dtype == np.float64
    check_same(found, logistic(X.astype(np.float64), y, weight, 0.1))


def test_what_has_no_solution_says_so(rows):
    y = rows[1]
    separable = 1e3 * np.eye(3)[y]
    found, loss, _ = solve_head(separable, y, np.ones(N), 3, weight_decay=0.0)
    assert np.isfinite(found).all()
    assert loss < 1e-6
    nearly = np.random.default_rng(0).normal(size=(N, 60)) * np.logspace(-6, 6, 60)
    with pytest.warns(ConvergenceWarning, match=r"not solved in 1000 .* a larger weight_decay"):
        solve_head(nearly, y, np.ones(N), 3, weight_decay=1e-12)


@pytest.fixture
def network(chain):
    return chain(lambda: nn.Linear(5, 7), nn.Tanh).double()


def embedding_of(fitted, X):
    """The standardised embedding, by numpy."""
    linear = fitted.backbone_.blocks[0]
    values = np.tanh(X @ linear.weight.detach().numpy().T + linear.bias.detach().numpy())
    scaler = fitted.net_.module_.embedding_scaler
    return (values - scaler.mean.numpy()) / scaler.scale.numpy()


def head_of(fitted):
    head = fitted.net_.module_.head
    return torch.cat([head.weight, head.bias[:, None]], 1).detach().numpy()


def probe(network, **parameters):
    return FineTunedClassifier(network, frozen_layers="all", random_state=0, **parameters)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.5, 1: 3.0, 2: 1.0}])
def test_the_estimator_is_logistic_regression_on_the_embedding(
    network, rows, n_classes, class_weight
):
    X, y, weight = rows
    y = y % n_classes
    given = class_weight
    if isinstance(given, dict):
        given = {label: given[label] for label in range(n_classes)}
    fitted = probe(network, weight_decay=0.05, class_weight=given).fit(X, y, sample_weight=weight)
    if class_weight is None:
        per_class = np.ones(3)
    elif class_weight == "balanced":
        per_class = N / (n_classes * np.bincount(y))
    else:
        per_class = np.array([0.5, 3.0, 1.0])
    model = logistic(embedding_of(fitted, X), y, weight * per_class[y], 0.05)
    check_same(head_of(fitted), model)
    np.testing.assert_allclose(
        fitted.predict_proba(X), model.predict_proba(embedding_of(fitted, X)), atol=1e-5
    )


def test_the_history_of_a_solved_head_has_one_entry(network, rows):
    X, y, _ = rows
    fitted = probe(network, max_epochs=500).fit(X, y)
    [entry] = fitted.history_
    assert fitted.n_iter_ == entry["epoch"] == 1
    logs = np.log(fitted.predict_proba(X)[np.arange(N), y])
    assert entry["train_loss"] == pytest.approx(-logs.mean(), abs=1e-6)
    assert entry["n_iterations"] > 1
    assert entry["n_frozen"] == 2


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 0.1), ("sgd", 0.5)])
def test_long_training_comes_to_the_same_predictions(network, rows, optimizer, lr):
    X, y, _ = rows
    common = {"weight_decay": 0.05, "label_smoothing": 0.1}
    solved = probe(network, **common).fit(X, y)
    free = {"optimizer__param_groups": [("head.bias", {"weight_decay": 0.0})]}
    if optimizer == "sgd":
        free["optimizer__momentum"] = 0.9
    schedule = {"lr": lr, "lr_schedule": "cosine", "max_epochs": 300, "batch_size": N}
    trained = probe(network, optimizer=optimizer, net_params=free, **schedule, **common)
    trained.fit(X, y)
    assert (solved.n_iter_, trained.n_iter_) == (1, 300)
    np.testing.assert_allclose(trained.predict_proba(X), solved.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(head_of(trained)[:, :-1], head_of(solved)[:, :-1], atol=1e-4)


def test_the_seed_does_not_matter_for_what_is_solved(network, rows):
    X, y, _ = rows
    fits = [probe(network).set_params(random_state=seed).fit(X, y) for seed in (0, 1)]
    np.testing.assert_array_equal(head_of(fits[0]), head_of(fits[1]))


def test_target_rows_have_no_part_in_it(network, rows):
    X, y, _ = rows
    sample_domain = np.where(np.arange(N) % 2, 0, -1)
    found = probe(network).fit(X, y, sample_domain)
    expected = probe(network).fit(X[1::2], y[1::2])
    np.testing.assert_array_equal(head_of(found), head_of(expected))


def test_adaptive_estimators_solve_it_when_every_lambda_is_zero(network, rows):
    X, y, _ = rows
    sample_domain = np.where(np.arange(N) % 2, 0, -1)
    common = {"frozen_layers": "all", "random_state": 0}
    plain = FineTunedClassifier(network, **common).fit(X, y, sample_domain)
    for cls in (DANNClassifier, DomainAdaptiveClassifier):
        zero = cls(network, lambda_adv=0.0, **common).fit(X, y, sample_domain)
        np.testing.assert_array_equal(head_of(zero), head_of(plain))
        some = cls(network, lambda_adv=0.1, max_epochs=2, **common).fit(X, y, sample_domain)
        assert some.n_iter_ == 2


class Opened(nn.Module):
    """A network that must not be trained."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, rows):
        assert not self.training
        return self.linear(rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frozen_layers", 0),
        ("frozen_layers", []),
        ("head", "mlp"),
        ("head", "cosine"),
        ("early_stopping", True),
        ("average_epochs", 2),
        ("mixup", 0.2),
        ("callbacks", [print]),
        ("net_params", {"optimizer__betas": (0.9, 0.9)}),
    ],
)
def test_lbfgs_is_refused_for_any_other_problem(rows, name, value):
    X, y, _ = rows
    estimator = FineTunedClassifier(Opened, optimizer="lbfgs", frozen_layers="all")
    message = rf"optimizer='lbfgs' solves a linear head on a frozen network, but {name}="
    with pytest.raises(ValueError, match=message):
        estimator.set_params(**{name: value}).fit(X, y)


def test_lbfgs_is_refused_for_terms_of_adaptation_and_augmented_rows(images, rows):
    X, y, _ = rows
    common = {"optimizer": "lbfgs", "frozen_layers": "all"}
    with pytest.raises(ValueError, match=r"but lambda_adv=1\.0; give"):
        DANNClassifier(**common).fit(X, y, np.where(np.arange(N) % 2, 0, -1))
    with pytest.raises(ValueError, match=r"but lambda_entropy=0\.5; give"):
        DomainAdaptiveClassifier(lambda_entropy=0.5, **common).fit(X, y, np.r_[-1, [0] * (N - 1)])
    with pytest.raises(ValueError, match="but spec_augment=True; give"):
        FineTunedClassifier(spec_augment=True, **common).fit(*images)
    clips = [np.full(400, 0.1, np.float32)] * 4
    with pytest.raises(ValueError, match="but augment=<function"):
        FineTunedClassifier("speech-mini", augment=lambda clip, sr: clip, **common).fit(
            clips, [0, 1, 0, 1]
        )


@pytest.mark.parametrize(
    "parameters", [{"head": "mlp"}, {"mixup": 0.3}, {"optimizer": "adam"}, {"early_stopping": True}]
)
def test_other_problems_are_trained(network, rows, parameters):
    X, y, _ = rows
    fitted = probe(network, max_epochs=3, **parameters).fit(X, y)
    assert fitted.n_iter_ == 3


def test_lbfgs_by_name_is_what_auto_takes(network, rows):
    X, y, _ = rows
    named = probe(network, optimizer="lbfgs").fit(X, y)
    np.testing.assert_array_equal(head_of(named), head_of(probe(network).fit(X, y)))
    by_names = probe(network).set_params(frozen_layers=["*"]).fit(X, y)
    np.testing.assert_array_equal(head_of(named), head_of(by_names))


def test_warm_start_begins_where_the_solution_was(network, rows):
    X, y, _ = rows
    warm = probe(network, warm_start=True).fit(X, y)
    first = head_of(warm).copy()
    cold = warm.history_[0]["n_iterations"]
    warm.fit(X, y)
    assert warm.history_[0]["n_iterations"] < cold / 2
    np.testing.assert_allclose(head_of(warm), first, atol=1e-5)
    warm.set_params(weight_decay=1.0).fit(X, y)
    expected = head_of(probe(network, weight_decay=1.0).fit(X, y))
    np.testing.assert_allclose(head_of(warm)[:, :-1], expected[:, :-1], atol=1e-4)
