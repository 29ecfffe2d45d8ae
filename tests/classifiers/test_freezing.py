"""What counts as frozen, by number, by name and by pattern; and that it does not move."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from sktl import FineTunedClassifier
from sktl.backbones import Backbone, InputSpec, make_backbone
from sktl.classifiers._freezing import check_frozen_layers, frozen_parts

SHORT = {"max_epochs": 2, "lr": 0.01, "batch_size": 16, "random_state": 0}


class Blocks:
    """As much of a backbone as counting its blocks takes."""

    def __init__(self, n, cuttable=True):
        self.blocks = [None] * n
        self.cuttable = cuttable


@pytest.mark.parametrize(
    ("frozen_layers", "expected"), [(0, 0), (3, 3), (14, 14), (-1, 13), (-14, 0), ("all", 14)]
)
def test_frozen_layers_count_as_in_a_slice(frozen_layers, expected):
    assert check_frozen_layers(frozen_layers, Blocks(14), "'yamnet'") == expected
    if frozen_layers != "all":
        assert len(range(14)[:frozen_layers]) == expected


@pytest.mark.parametrize("frozen_layers", [9, -9, 100])
def test_frozen_layers_out_of_range_are_refused(frozen_layers):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        check_frozen_layers(frozen_layers, Blocks(8), "'yamnet'")
    assert str(caught.value) == (
        f"frozen_layers={frozen_layers} but 'yamnet' has 8 blocks; "
        "give 0..8, a negative index, or 'all'."
    )


def test_a_network_that_cannot_be_cut_is_frozen_whole_or_not_at_all():
    whole = Blocks(3, cuttable=False)
    assert [check_frozen_layers(n, whole, "Net") for n in (0, 3, "all")] == [0, 3, 3]
    with pytest.raises(ValueError, match="frozen_layers=1 but Net cannot be cut into blocks"):
        check_frozen_layers(1, whole, "Net")


LAYERS = [
    partial(nn.Linear, 6, 8),
    partial(nn.BatchNorm1d, 8),
    nn.Dropout,
    partial(nn.Linear, 8, 8),
    partial(nn.BatchNorm1d, 8),
    nn.ReLU,
    partial(nn.Linear, 8, 4),
]


@pytest.fixture
def network(chain):
    return chain(*LAYERS)


@pytest.fixture
def body(network):
    return make_backbone(network, row_shape=(6,))


@pytest.mark.parametrize(
    ("given", "count", "names"),
    [
        (["blocks.0"], 1, []),
        (["blocks.0", "blocks.1"], 2, []),
        (["blocks.0.*", "blocks.1.weight"], 1, ["blocks.1.weight"]),
        (["blocks.[01].*"], 2, []),
        (("blocks.0", "blocks.1", "blocks.3"), 4, []),
        (["blocks.3"], 0, ["blocks.3.bias", "blocks.3.weight"]),
        (["blocks.0", "blocks.6.bias"], 1, ["blocks.6.bias"]),
        (["*.bias"], 0, [f"blocks.{i}.bias" for i in (0, 1, 3, 4, 6)]),
        (["blocks.0.bias", "blocks.0.weight"], 1, []),
        (["blocks.?.weight", "*.bias"], 7, []),
        (["*"], 7, []),
        (["blocks"], 7, []),
        ([], 0, []),
    ],
)
def test_leading_blocks_are_counted_and_the_rest_is_named(body, given, count, names):
    found = frozen_parts(given, body, "Sequential")
    assert (found[0], sorted(found[1])) == (count, sorted(names))


@pytest.mark.parametrize(("given", "count"), [(3, 3), (-1, 6), ("all", 7), (np.int64(2), 2)])
def test_numbers_name_nothing_further(body, given, count):
    assert frozen_parts(given, body, "Sequential") == (count, ())


@pytest.mark.parametrize(
    "wrong", ["blocks.9", "block.0", "blocks.0.scale", "blocks.2", "BLOCKS.0", "", 3, None, "0"]
)
def test_what_is_the_name_of_nothing_is_refused(body, wrong):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        frozen_parts(["blocks.0", wrong], body, "Sequential")
    assert str(caught.value) == (
        f"frozen_layers holds {wrong!r}, which is the name of nothing in Sequential; its "
        "parameters are blocks.0.weight, blocks.0.bias, blocks.1.weight, blocks.1.bias, … Give "
        "such names, or patterns such as 'blocks.0.*'."
    )


def test_blocks_without_weights_are_not_frozen_for_having_none(chain):
    layers = [nn.Dropout, partial(nn.BatchNorm1d, 6, affine=False), partial(nn.Linear, 6, 4)]
    body = make_backbone(chain(*layers, partial(nn.Linear, 4, 3)), row_shape=(6,))
    assert frozen_parts([], body, "Sequential") == (0, ())
    assert frozen_parts(["*.3.*"], body, "Sequential") == (0, ("blocks.3.weight", "blocks.3.bias"))


class Scaled(Backbone):
    """A network with a parameter beside its blocks, and one beside layers within a block."""

    input_spec = InputSpec("features")
    embedding_size = 4

    def __init__(self):
        super().__init__()
        block = nn.Sequential(nn.Linear(6, 4), nn.Dropout())
        block.register_parameter("offset", nn.Parameter(torch.zeros(4)))
        self.blocks = nn.ModuleList([nn.Linear(6, 6), block])
        self.scale = nn.Parameter(torch.ones(4))

    def pool(self, activations):
        return activations * self.scale + self.blocks[1].offset


def trained(blobs, network, frozen_layers, **parameters):
    X, y, _ = blobs
    return FineTunedClassifier(network, frozen_layers=frozen_layers, **{**SHORT, **parameters}).fit(
        X, y
    )


def moved(fitted, start):
    after = fitted.backbone_.state_dict()
    return {name for name, value in start.items() if not torch.equal(after[name], value)}


def start_of(network):
    return {f"blocks.{n}": v.clone() for n, v in network.state_dict().items()}


@pytest.mark.parametrize(
    "given",
    [
        ["blocks.0", "blocks.1"],
        ["blocks.3", "*.bias"],
        ["blocks.0", "blocks.4"],
        ["blocks.1.weight"],
    ],
)
@pytest.mark.parametrize("cache", [True, False])
def test_what_is_named_keeps_every_bit_and_the_rest_moves(blobs, network, body, given, cache):
    count, names = frozen_parts(given, body, "Sequential")
    fitted = trained(blobs, network, given, cache=cache, weight_decay=0.1)
    changed = moved(fitted, start_of(network))
    weights = {name for name, _ in body.named_parameters()}
    still = set(names) | {n for n in weights if int(n.split(".")[1]) < count}
    assert changed & weights == weights - still
    assert fitted.net_.module_.n_frozen == count


def test_layers_frozen_whole_are_in_eval_mode_and_those_in_part_are_not(blobs, network, watch):
    watched = watch(lambda net: [block.training for block in net.module_.body.blocks])
    given = ["blocks.0", "blocks.1.bias", "blocks.4"]
    fitted = trained(blobs, network, given, callbacks=[watched])
    assert watched.seen[0] == [False, True, True, True, False, True, True]
    changed = moved(fitted, start_of(network))
    assert {"blocks.1.running_mean", "blocks.1.weight", "blocks.6.weight"} <= changed
    assert not {"blocks.1.bias", "blocks.4.running_mean", "blocks.4.weight"} & changed


def test_batch_statistics_stay_where_a_layer_in_the_middle_is_frozen(blobs, network):
    fitted = trained(blobs, network, ["blocks.4"])
    changed = moved(fitted, start_of(network))
    assert not any(name.startswith("blocks.4.") for name in changed)
    assert {"blocks.1.running_mean", "blocks.1.running_var", "blocks.6.weight"} <= changed


@pytest.mark.parametrize("given", [["scale"], ["blocks.1.offset"], ["blocks"]])
def test_a_frozen_parameter_does_not_stop_what_is_beside_it(blobs, given, watch):
    watched = watch(lambda net: [part.training for part in net.module_.body.blocks[1].modules()])
    start = {name: value.clone() for name, value in _scaled().state_dict().items()}
    fitted = trained(blobs, _scaled, given, callbacks=[watched])
    is_whole = given == ["blocks"]
    assert watched.seen[0] == [not is_whole] * 3
    assert moved(fitted, start) == {
        name for name in start if not (name in given or (is_whole and name != "scale"))
    }


def _scaled():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Scaled()


def test_names_give_the_fit_that_numbers_give(blobs, network):
    X = blobs[0]
    for number, given in [(2, ["blocks.0", "blocks.1"]), (4, ["blocks.[013].*"])]:
        one, other = (trained(blobs, network, frozen) for frozen in (number, given))
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_named_blocks_are_computed_once(blobs, network, monkeypatch):
    calls = []

    def count(self, values):
        calls.append(self.in_features)
        return nn.functional.linear(values, self.weight, self.bias)

    monkeypatch.setattr(nn.Linear, "forward", count)
    calls_of = {}
    for frozen in (2, ["blocks.0", "blocks.1"], ["blocks.3"]):
        calls.clear()
        trained(blobs, network, frozen, max_epochs=5)
        calls_of[str(frozen)] = calls.count(6)
    by_number, by_name, inner = calls_of.values()
    assert by_name == by_number < inner


def test_names_go_together_with_unfreezing_and_learning_rates(blobs, network, body, watch):
    learning = watch(
        lambda net: {n for n, w in net.module_.body.named_parameters() if w.requires_grad}
    )
    given = ["blocks.0", "blocks.4.bias"]
    fitted = trained(
        blobs, network, given, unfreeze_every=1, max_epochs=8, layer_decay=0.5, callbacks=[learning]
    )
    weights = {name for name, _ in body.named_parameters()}
    assert learning.seen[0] == set()
    assert learning.seen[1] == {"blocks.6.weight", "blocks.6.bias"}
    last = weights - {"blocks.0.weight", "blocks.0.bias", "blocks.4.bias"}
    assert learning.seen[-1] == last
    assert moved(fitted, start_of(network)) & weights == last


@pytest.mark.parametrize("given", [["blocks.0", "*.bias"], ["blocks.3"], ["*"]])
def test_a_pickle_keeps_what_is_frozen(blobs, network, given):
    X, y, _ = blobs
    fitted = trained(blobs, network, given, warm_start=True)
    copy = pickle.loads(pickle.dumps(fitted))
    modules = fitted.net_.module_, copy.net_.module_
    assert modules[0].n_frozen == modules[1].n_frozen
    assert modules[0].frozen_names == modules[1].frozen_names
    learning = [[w.requires_grad for w in module.parameters()] for module in modules]
    assert learning[0] == learning[1]
    before = {n: v.clone() for n, v in copy.backbone_.state_dict().items()}
    again = [estimator.fit(X, y) for estimator in (fitted, copy)]
    np.testing.assert_array_equal(*(estimator.predict_proba(X) for estimator in again))
    names = moved(copy, before)
    assert not any(name.endswith(".bias") and "*.bias" in given for name in names)
    assert not any(name.startswith("blocks.3.") and "blocks.3" in given for name in names)
    assert not (names and given == ["*"])


def test_a_grid_goes_over_numbers_names_and_all(blobs):
    X, y, _ = blobs
    grid = {"frozen_layers": [0, 1, "all", ["blocks.0"], ["*.bias"]]}
    search = GridSearchCV(FineTunedClassifier(**SHORT), grid, cv=2, refit=False).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] == scores[3]
    assert np.isfinite(scores).all()


def test_the_message_names_the_network_and_comes_before_training(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=r"holds 'head', which is the name of nothing in 'mlp'"):
        FineTunedClassifier(frozen_layers=["head"]).fit(X, y)
    with pytest.raises(ValueError, match="'frozen_layers' parameter of FineTunedClassifier"):
        FineTunedClassifier(frozen_layers={"blocks.0"}).fit(X, y)
