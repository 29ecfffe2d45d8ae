"""Which file of a folder is whose: what a fit depends on has a part in its name."""

from functools import partial

import numpy as np
import torch
from safetensors.torch import save_file
from skorch.callbacks import EarlyStopping
from torch import nn

from sktl import DistilledClassifier, DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner
from sktl.backbones import Backbone, InputSpec

QUICK = {"max_epochs": 4, "lr": 0.02, "batch_size": 16, "random_state": 0}


def make(folder, **parameters):
    return FineTunedClassifier(checkpoint=folder, **{**QUICK, **parameters})


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def epochs(fitted):
    return [{k: v for k, v in epoch.items() if k != "dur"} for epoch in fitted.history_]


def check_equal(one, other):
    states = [fitted.net_.module_.state_dict() for fitted in (one, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert epochs(one) == epochs(other)


def test_what_does_not_change_the_result_does_not_change_the_file(blobs, tmp_path, untrained):
    X, y, _ = blobs
    make(tmp_path, frozen_layers=1).fit(X, y)
    untrained()
    other = {"memory": tmp_path / "rows", "verbose": 1, "n_jobs": 2, "device": "cpu"}
    make(tmp_path, frozen_layers=1, **other).fit(X, y)
    make(tmp_path, frozen_layers=1, callbacks=None).fit(X, np.array(["a", "b"])[y])
    assert len(list(tmp_path.glob("*.ckpt"))) == 1


OTHERS = [
    {"random_state": 1},
    {"lr": 0.03},
    {"max_epochs": 3},
    {"weight_decay": 0.1},
    {"head": "mlp"},
    {"frozen_layers": 1},
    {"frozen_layers": ["*.bias"]},
    {"label_smoothing": 0.1},
    {"mixup": 0.1},
    {"average_epochs": 2},
    {"class_weight": {0: 1.0, 1: 2.0}},
    {"early_stopping": True},
    {"net_params": {"optimizer__betas": (0.5, 0.5)}},
    {"callbacks": [EarlyStopping("train_loss", patience=2)]},
    {"callbacks": [EarlyStopping("train_loss", patience=3)]},
    {"optimizer": torch.optim.RMSprop},
    {"optimizer": partial(torch.optim.AdamW, eps=1e-3)},
    {"optimizer": partial(torch.optim.AdamW, eps=1e-4)},
]


def test_weights_known_to_be_learned_have_another_file_than_the_same_as_a_module(blobs, tmp_path):
    X, y, _ = blobs
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Linear(6, 4), nn.Tanh()).double()
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    given = {"lr": "auto", "max_epochs": 1}
    module = make(tmp_path, backbone=network, **given).fit(X, y)
    learned = make(tmp_path, backbone=network, weights=tmp_path / "mine.safetensors", **given).fit(
        X, y
    )
    assert (module.net_.lr, learned.net_.lr) == (1e-3, 1e-4)
    assert len(list(tmp_path.glob("*.ckpt"))) == 2
    assert epochs(module) != epochs(learned)


def test_other_parameters_have_another_file(blobs, tmp_path):
    X, y, _ = blobs
    make(tmp_path).fit(X, y)
    for i, other in enumerate(OTHERS):
        found = make(tmp_path, **other).fit(X, y)
        assert len(files(tmp_path)) == i + 2, other
        check_equal(found, make(None, **other).fit(X, y))


def test_functions_of_one_name_have_files_of_their_own(blobs, tmp_path):
    X, y, sample_domain = blobs
    for factor in (0.0, 0.5, 1.0):
        common = {"lambda_mmd": 1.0, "lambda_schedule": lambda progress, f=factor: f, **QUICK}
        kept = DomainAdaptiveClassifier(checkpoint=tmp_path, **common).fit(X, y, sample_domain)
        plain = DomainAdaptiveClassifier(**common).fit(X, y, sample_domain)
        check_equal(kept, plain)
    assert len(files(tmp_path)) == 3


def test_other_rows_have_another_file(blobs, tmp_path):
    X, y, sample_domain = blobs
    nearly = X.copy()
    nearly[7, 3] = np.nextafter(nearly[7, 3], 9)
    weight = np.linspace(1, 2, 60)
    fits = [
        (X, y),
        (nearly, y),
        (X[::-1].copy(), y),
        (X, 1 - y),
        (X, y, sample_domain),
        (X, y, None, weight),
        (X.astype(np.float32), y),
        (X[:50], y[:50]),
    ]
    for i, given in enumerate(fits):
        make(tmp_path).fit(*given)
        assert len(files(tmp_path)) == i + 1
    MMDAligner(checkpoint=tmp_path, **QUICK).fit(X, y, sample_domain)
    MMDAligner(checkpoint=tmp_path, **QUICK).fit(X, y, -1 - sample_domain)
    assert len(files(tmp_path)) == 10


def test_other_groups_have_another_file(blobs, tmp_path):
    X, y, _ = blobs
    for i, groups in enumerate((None, np.arange(60) // 6, np.arange(60) // 10)):
        found = make(tmp_path, early_stopping=True).fit(X, y, groups=groups)
        check_equal(found, make(None, early_stopping=True).fit(X, y, groups=groups))
        assert len(files(tmp_path)) == i + 1


def test_other_starting_weights_have_another_file(blobs, tmp_path, chain):
    X, y, _ = blobs
    network = chain(partial(nn.Linear, 6, 4), nn.ReLU)
    make(tmp_path, backbone=network).fit(X, y)
    with torch.no_grad():
        network[0].bias += 1e-3
    make(tmp_path, backbone=network).fit(X, y)
    make(tmp_path, backbone=chain(partial(nn.Linear, 6, 4), nn.Tanh)).fit(X, y)
    assert len(files(tmp_path)) == 3


class Patches(Backbone):
    """Cuts clips into patches of 100 samples."""

    input_spec = InputSpec("waveform", sr=1000, min_samples=100)
    embedding_size = 3

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(100, 3)])

    def front_end(self, clips):
        return [clip.unfold(0, 100, 100) for clip in clips]


class Gain:
    """Keeps what it has drawn, as the package audiomentations does."""

    def __init__(self, highest):
        self.highest = highest
        self.drawn = []

    def __call__(self, samples, sample_rate):
        self.drawn.append(np.random.uniform(0.5, self.highest))  # noqa: NPY002 (as that package)
        return samples * np.float32(self.drawn[-1])


def test_augmentations_are_told_apart_by_their_settings_and_not_by_their_past(tmp_path, untrained):
    generator = np.random.default_rng(0)
    clips, y = list(generator.normal(size=(8, 300)).astype(np.float32) / 9), np.arange(8) % 2
    common = {"backbone": Patches, "max_epochs": 2, "batch_size": 4}
    gains = [Gain(1.0), Gain(2.0)]
    for i, gain in enumerate(gains):
        make(tmp_path, augment=gain, **common).fit(clips, y)
        assert len(files(tmp_path)) == i + 1
        assert gain.drawn == []
    untrained()
    make(tmp_path, augment=gains[0], **common).fit(clips, y)
    assert len(files(tmp_path)) == 2


def test_a_teacher_is_told_by_what_it_says(blobs, tmp_path, untrained):
    X, y, _ = blobs
    # Twice the same, but for how long it took.
    teachers = [make(None).fit(X, y) for _ in range(2)]
    other = make(None, random_state=1).fit(X, y)
    for i, teacher in enumerate((other, teachers[0])):
        DistilledClassifier(teacher, checkpoint=tmp_path, **QUICK).fit(X, y)
        assert len(files(tmp_path)) == i + 1
    untrained()
    DistilledClassifier(teachers[1], checkpoint=tmp_path, **QUICK).fit(X, y)
