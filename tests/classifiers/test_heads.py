"""What heads compute, and which ones are refused before any training."""

import copy
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.classifiers._build import Plan
from sktl.classifiers._heads import HEADS, CosineHead, make_head


@pytest.fixture(autouse=True)
def seeded():
    with torch_seed(0):
        yield


@pytest.fixture
def embedding():
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(1))


def two_layers(n_inputs, n_outputs, hidden=4):
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.Tanh(), nn.Linear(hidden, n_outputs))


def test_heads_have_the_widths_asked_for():
    assert make_head("linear", 8, 3).weight.shape == (3, 8)
    hidden = make_head("mlp", 300, 3)
    assert [layer.weight.shape for layer in hidden[::2]] == [(256, 300), (3, 256)]
    assert make_head("mlp", 8, 3)[0].weight.shape == (8, 8)
    assert make_head("cosine", 8, 3).weight.shape == (3, 8)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_name_makes_logits_that_every_parameter_learns_from(name, dtype, embedding):
    head = make_head(name, 5, 3).to(dtype)
    logits = head(embedding.to(dtype))
    assert (logits.shape, logits.dtype) == ((7, 3), dtype)
    logits.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_a_cosine_head_is_the_formula_of_gidaris_and_komodakis(embedding):
    head = CosineHead(5, 3)
    with torch.no_grad():
        head.scale.fill_(4.0)
    z, w = embedding.numpy().astype(float), head.weight.detach().numpy().astype(float)
    expected = 4.0 * (z @ w.T) / np.outer(np.linalg.norm(z, axis=1), np.linalg.norm(w, axis=1))
    found = head(embedding).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert CosineHead(5, 3).scale.item() == 10.0


def test_neither_length_counts_for_a_cosine_head(embedding):
    head = CosineHead(5, 3)
    expected = head(embedding)
    lengths = torch.linspace(0.01, 100, 7)[:, None]
    torch.testing.assert_close(head(embedding * lengths), expected)
    with torch.no_grad():
        head.weight *= torch.tensor([[0.5], [2.0], [30.0]])
    torch.testing.assert_close(head(embedding), expected)


def test_an_embedding_of_zeros_has_finite_logits_and_gradients():
    head, zeros = CosineHead(5, 3), torch.zeros(2, 5, requires_grad=True)
    logits = head(zeros)
    assert torch.equal(logits, torch.zeros(2, 3))
    logits.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (*head.parameters(), zeros))


def test_class_vectors_are_drawn_from_the_callers_seed():
    made = []
    for seed in (0, 0, 1):
        with torch_seed(seed):
            made.append(make_head("cosine", 5, 3).weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_a_module_is_copied_with_its_weights(embedding):
    given = two_layers(5, 3)
    made = make_head(given, 5, 3)
    assert torch.equal(made(embedding), given(embedding))
    assert made is not given
    nn.init.zeros_(made[0].weight)
    assert given[0].weight.abs().sum() > 0


@pytest.mark.parametrize(
    "head", [nn.Linear, two_layers, partial(two_layers, hidden=9), lambda n, m: nn.Linear(n, m)]
)
def test_a_function_makes_a_head_of_the_right_widths(head, embedding):
    assert make_head(head, 5, 3)(embedding).shape == (7, 3)


def test_a_function_that_returns_the_same_module_every_time_gives_copies():
    layer = nn.Linear(5, 3)
    first, second = (make_head(lambda n, m: layer, 5, 3) for _ in range(2))
    assert first is not layer
    assert first.weight is not second.weight


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_lazy_head_takes_the_width_of_the_embedding(embedding):
    made = make_head(nn.LazyLinear(3), 5, 3)
    assert made(embedding).shape == (7, 3)
    assert made.weight.shape == (3, 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_check_leaves_no_trace(dtype):
    given = nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3)).to(dtype)
    given[0].eval()
    before = copy.deepcopy(given.state_dict())
    state = torch.get_rng_state()
    made = make_head(given, 5, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in made.modules()] == [True, False, True, True]
    for name, value in made.state_dict().items():
        assert torch.equal(value, before[name])


class Pair(nn.Linear):
    def forward(self, embedding):
        return super().forward(embedding), embedding


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "softmax",
            "head='softmax' is unknown; give one of 'linear', 'mlp', 'cosine', an nn.Module, or a "
            "function of n_inputs and n_outputs that makes one.",
        ),
        (
            nn.Linear(5, 4),
            "head=Linear returned a tensor of shape (2, 4) for an embedding of shape (2, 5); with "
            "3 classes it must return floating point numbers of shape (2, 3).",
        ),
        (
            nn.Sequential(nn.Linear(5, 3), nn.Flatten(0)),
            "head=Sequential returned a tensor of shape (6,) for an embedding of shape (2, 5)",
        ),
        (
            nn.Linear(6, 3),
            "head=Linear does not take an embedding of shape (2, 5): ",
        ),
        (
            Pair(5, 3),
            "head=Pair returned tuple for an embedding of shape (2, 5); it must return a tensor of "
            "shape (2, 3), one logit per class.",
        ),
        (lambda n, m: 3, "<lambda> returned int; it must return an nn.Module."),
        (
            lambda n: nn.Linear(n, 3),
            "<lambda> failed for n_inputs=5 and n_outputs=3: ",
        ),
        (partial(two_layers, hidden=None), "head=two_layers failed for n_inputs=5"),
        (
            lambda n, m: nn.Linear(n, m).requires_grad_(False),
            "<lambda> has no parameter that requires a gradient, so nothing in it would learn",
        ),
    ],
)
def test_heads_that_do_not_fit_are_refused(head, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        make_head(head, 5, 3)
    assert message in str(caught.value)


class Constant(nn.Module):
    """Logits of integers, or without parameters."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, embedding):
        return torch.ones(len(embedding), 3, dtype=self.dtype)


def test_heads_without_parameters_or_of_integers_are_refused():
    with pytest.raises(ValueError, match="Constant has no parameter that requires a gradient"):
        make_head(Constant(torch.float32), 5, 3)
    with pytest.raises(ValueError, match=r"a tensor of torch.int64 of shape \(2, 3\)"):
        make_head(Constant(torch.int64), 5, 3)


def plan_with(head):
    return Plan("mlp", (6,), (6,), True, torch.float32, False, False, (0, 1), head=head)


def test_plans_of_one_head_are_equal_and_those_of_another_are_not():
    module = nn.Linear(256, 2)
    assert plan_with("cosine") == plan_with("cosine") != plan_with("mlp")
    assert plan_with(module) == replace(plan_with("mlp"), head=module)
    assert plan_with(module) != plan_with(nn.Linear(256, 2))
    assert plan_with(two_layers) == plan_with(two_layers) != plan_with(nn.Linear)


@pytest.mark.parametrize("head", [two_layers, nn.Linear(256, 2)])
def test_plan_and_parameter_are_one_after_pickling(head):
    plan, again = pickle.loads(pickle.dumps((plan_with(head), head)))
    assert plan == plan_with(again)


GIVEN = [CosineHead, two_layers, nn.Sequential(nn.Linear(256, 4), nn.ReLU(), nn.Linear(4, 2))]


@pytest.mark.parametrize("head", ["cosine", *GIVEN])
def test_a_classifier_with_such_a_head_is_trained_copied_and_pickled(blobs, head):
    X, y, _ = blobs
    classifier = FineTunedClassifier(head=head, max_epochs=3, random_state=0)
    before = copy.deepcopy(head.state_dict()) if isinstance(head, nn.Module) else {}
    fitted = clone(classifier).fit(X, y)
    expected = fitted.predict_proba(X)
    again = clone(classifier).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert other._plan.head is other.head or isinstance(head, str)
    for name, value in before.items():
        assert torch.equal(head.state_dict()[name], value)


def test_warm_start_goes_on_with_a_given_head(blobs):
    X, y, _ = blobs
    settings = {"max_epochs": 2, "lr": 1e-3, "random_state": 0, "warm_start": True}
    head = nn.Linear(256, 2)
    fitted = FineTunedClassifier(head=head, **settings).fit(X, y)
    trained = fitted.net_.module_.head
    assert fitted.fit(X, y).net_.module_.head is trained
    fitted.set_params(head=nn.Linear(256, 2)).fit(X, y)
    assert fitted.net_.module_.head is not trained
