"""Learning rates by depth (Howard and Ruder, 2018)."""

from functools import partial

import pytest
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier
from sktl.classifiers._param_groups import param_groups


def rates(estimator):
    """Learning rate of every parameter by name, as the optimizer holds it."""
    by_id = {
        id(weight): group["lr"]
        for group in estimator.net_.optimizer_.param_groups
        for weight in group["params"]
    }
    named = dict(estimator.net_.module_.named_parameters())
    assert by_id.keys() == {id(weight) for weight in named.values()}
    return {name: by_id[id(weight)] for name, weight in named.items()}


def test_without_decay_there_is_one_group():
    assert param_groups(3, 1e-3, 1.0) == []


def test_rates_follow_the_formula():
    groups = param_groups(3, 0.1, 0.5)
    assert [pattern for pattern, _ in groups] == [f"body.blocks.{i}.*" for i in range(3)]
    assert [options["lr"] for _, options in groups] == pytest.approx([0.0125, 0.025, 0.05])


def test_the_optimizer_has_each_blocks_rate_also_beyond_ten_blocks(blobs, chain):
    X, y, _ = blobs
    network = chain(*[partial(nn.Linear, 6, 6)] * 12)
    fitted = FineTunedClassifier(
        network, layer_decay=0.8, lr=0.01, max_epochs=1, random_state=0
    ).fit(X, y)
    for name, rate in rates(fitted).items():
        if name.startswith("body.blocks."):
            depth = int(name.split(".")[2])
            assert rate == pytest.approx(0.01 * 0.8 ** (12 - depth)), name
        else:
            assert rate == 0.01, name


def test_the_head_learns_at_the_full_rate_and_the_discriminator_at_ten_times_that(blobs):
    X, y, sample_domain = blobs
    fitted = DANNClassifier(layer_decay=0.1, lr=0.01, max_epochs=1, random_state=0)
    seen = rates(fitted.fit(X, y, sample_domain))
    assert {seen[name] for name in seen if name.startswith("head")} == {0.01}
    assert {seen[name] for name in seen if name.startswith("discriminator")} == {0.1}
    assert seen["body.blocks.0.1.weight"] == pytest.approx(0.01 * 0.1**2)
    assert seen["body.blocks.1.0.weight"] == pytest.approx(0.01 * 0.1)


@pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.5])
def test_a_decay_outside_its_range_is_refused(blobs, layer_decay):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=r"'layer_decay' parameter of FineTunedClassifier must be"):
        FineTunedClassifier(layer_decay=layer_decay).fit(X, y)
