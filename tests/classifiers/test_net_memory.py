"""Memory that runs out: fewer rows at once, and the same step."""

import numpy as np
import pytest
import torch
from torch import nn

from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner

SGD = {"optimizer": "sgd", "lr": 0.1, "max_epochs": 2, "batch_size": 16, "random_state": 0}


class Limited(nn.Module):
    """Layers that in training take so many rows at once, and no more."""

    most = 1000
    error: BaseException = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 9 GiB\nand"
    )

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers = nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4), nn.Tanh()
        self.layers = nn.Sequential(*layers).double()
        self.seen = []

    def forward(self, rows):
        if self.training:
            Limited.seen.append(len(rows))
            if len(rows) > Limited.most:
                raise Limited.error
        return self.layers(rows)


@pytest.fixture
def limit(monkeypatch):
    """Say how many rows there is memory for, and what is raised above."""

    def set_limit(most, error=Limited.error):
        monkeypatch.setattr(Limited, "most", most)
        monkeypatch.setattr(Limited, "error", error)
        monkeypatch.setattr(Limited, "seen", [], raising=False)

    set_limit(1000)
    return set_limit


def weights(fitted):
    return {n: w.detach().numpy() for n, w in fitted.net_.module_.named_parameters()}


def check_same(one, other):
    for name, value in weights(one).items():
        np.testing.assert_allclose(value, weights(other)[name], rtol=1e-10, atol=1e-12)
    for before, after in zip(one.history_, other.history_, strict=True):
        assert {k: v for k, v in after.items() if k != "dur"} == pytest.approx(
            {k: v for k, v in before.items() if k != "dur"}, rel=1e-10
        )


@pytest.mark.parametrize("most", [2, 3, 5, 15])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_size": 17},
        {"label_smoothing": 0.2, "l2_sp": 0.5, "class_weight": "balanced"},
        {"mixup": 0.4, "l2_sp": 0.1, "label_smoothing": 0.1},
        {"early_stopping": True, "lr_schedule": "cosine", "head": "mlp"},
        {"frozen_layers": ["blocks.0.layers.0"], "net_params": {"optimizer__momentum": 0.9}},
    ],
)
def test_a_step_in_parts_is_the_step(blobs, limit, most, parameters):
    X, y, _ = blobs
    weight = np.linspace(0.1, 2.0, 60)
    common = {**SGD, **parameters}
    whole = FineTunedClassifier(Limited(), **common).fit(X, y, sample_weight=weight)
    limit(most)
    with pytest.warns(UserWarning, match="Memory ran out on") as caught:
        parts = FineTunedClassifier(Limited(), **common).fit(X, y, sample_weight=weight)
    assert len(caught) == 1
    check_same(whole, parts)
    assert max(Limited.seen[8:]) <= most


class LimitedWhenHeldOut(Limited):
    """Layers that, once they have been trained, take so many rows at once to be judged."""

    def forward(self, rows):
        if not self.training and Limited.seen and len(rows) > 5:
            raise Limited.error
        return super().forward(rows)


def test_rows_held_out_are_judged_in_parts_as_well(blobs, limit):
    X, y, _ = blobs
    limit(1000)
    common = {**SGD, "early_stopping": True, "validation_fraction": 0.4}
    whole = FineTunedClassifier(Limited(), **common).fit(X, y)
    limit(1000)
    with pytest.warns(UserWarning, match="Memory ran out on 16 rows at once") as caught:
        parts = FineTunedClassifier(LimitedWhenHeldOut(), **common).fit(X, y)
    assert len(caught) == 1
    check_same(whole, parts)


def test_rows_at_once_are_halved_and_the_warning_says_so(blobs, limit):
    X, y, _ = blobs
    limit(5)
    with pytest.warns(UserWarning, match="ran out") as caught:
        FineTunedClassifier(Limited(), **{**SGD, "max_epochs": 1}).fit(X, y)
    # Three batches of 16 rows and one of 12.
    assert Limited.seen == [16, 8] + 3 * [4, 4, 4, 4] + [4, 4, 4]
    assert str(caught[0].message) == (
        "Memory ran out on 16 rows at once (CUDA out of memory. Tried to allocate 9 GiB); from "
        "now on half of them, or less, go through the network at a time. Their gradients are "
        "added up, so that a step is the same, but for batch normalisation that is trained."
    )


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")],
)
def test_memory_runs_out_in_several_words(blobs, limit, error):
    X, y, _ = blobs
    limit(8, error)
    with pytest.warns(UserWarning, match=r"Memory ran out on 16 rows at once \(.+\); from now on"):
        FineTunedClassifier(Limited(), **SGD).fit(X, y)


def test_two_rows_are_the_least(blobs, limit):
    X, y, _ = blobs
    limit(1)
    message = (
        r"Memory ran out on 2 rows, alone: CUDA out of memory\. Tried to allocate 9 GiB\. Give a "
        r"smaller batch_size \(it is 16\), shorter clips or precision='bf16'\."
    )
    with pytest.warns(UserWarning, match="ran out"), pytest.raises(MemoryError, match=message):
        FineTunedClassifier(Limited(), **SGD).fit(X, y)


def test_other_errors_come_out_as_they_are(blobs, limit):
    X, y, _ = blobs
    limit(8, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2 shapes"):
        FineTunedClassifier(Limited(), **SGD).fit(X, y)
    assert Limited.seen == [16]


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (MMDAligner, {}),
        (DANNClassifier, {}),
        (DomainAdaptiveClassifier, {"lambda_coral": 1.0}),
    ],
)
def test_losses_that_compare_all_rows_cannot_be_taken_in_parts(blobs, limit, cls, parameters):
    X, y, sample_domain = blobs
    limit(8)
    with pytest.raises(
        MemoryError, match="on 16 rows, source and target, which the losses see together: CU"
    ):
        cls(Limited(), **{**SGD, **parameters}).fit(X, y, sample_domain)


def test_adaptive_estimators_without_target_terms_are_trained_in_parts(blobs, limit):
    X, y, sample_domain = blobs
    limit(8)
    with pytest.warns(UserWarning, match="Memory ran out on 16 rows"):
        zero = MMDAligner(Limited(), lambda_mmd=0.0, **SGD).fit(X, y, sample_domain)
    limit(1000)
    check_same(MMDAligner(Limited(), lambda_mmd=0.0, **SGD).fit(X, y, sample_domain), zero)


def test_callbacks_are_told_of_the_whole_batch(blobs, limit, watch_steps):
    X, y, _ = blobs
    watched = watch_steps(lambda net: net.n_steps_)
    limit(4)
    sizes = []
    watched.on_batch_begin = lambda net, batch, training, **kwargs: sizes.append(len(batch[0]))
    with pytest.warns(UserWarning, match="ran out"):
        fitted = FineTunedClassifier(Limited(), callbacks=[watched], **SGD).fit(X, y)
    assert sizes == [16, 16, 16, 12] * 2
    assert len(watched.seen) == 8
    limit(1000)
    check_same(FineTunedClassifier(Limited(), **SGD).fit(X, y), fitted)


def test_each_fit_begins_with_whole_batches(blobs, limit):
    X, y, _ = blobs
    classifier = FineTunedClassifier(Limited(), **SGD)
    limit(8)
    with pytest.warns(UserWarning, match="ran out"):
        classifier.fit(X, y)
    limit(16)
    classifier.fit(X, y)
    assert set(Limited.seen) == {16, 12}
