"""A corpus at once: little memory, whatever fits of it, and rows that are found again."""

import shutil
import warnings

import numpy as np
import pytest
import soundfile
import torch
from joblib import Parallel, delayed
from torch import nn

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.audio import _ahead
from sktl.backbones import Backbone, InputSpec

SR = 1000


class Patches(Backbone):
    """Patches of a second through two layers; `_most` of them at once, if that is set."""

    input_spec = InputSpec("waveform", sr=SR, min_samples=SR)
    embedding_size = 24

    def __init__(self, varying=False):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.Linear(*size), nn.Tanh()) for size in ((SR, 48), (48, 24))
            )
        self._most = None
        self._tried = []
        self._heard = []

    def front_end(self, clips):
        self._heard.append(sum(map(len, clips)) / SR)
        padded = [nn.functional.pad(clip, (0, -len(clip) % SR)) for clip in clips]
        return [clip.reshape(-1, SR) for clip in padded]

    def run_blocks(self, values, start=0, stop=None):
        if start == 0:
            self._tried.append(len(values))
            if self._most is not None and len(values) > self._most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().run_blocks(values, start, stop)


@pytest.fixture(scope="module")
def clips():
    """Clips of 0.4 to 150 s, 420 s together."""
    generator = np.random.default_rng(0)
    seconds = [0.4, 3.0, 150.0, 1.0, 12.5, 70.2, *[2.5] * 40, 80.0, 0.7]
    return [(0.1 * generator.normal(size=int(SR * s))).astype(np.float32) for s in seconds]


@pytest.fixture(scope="module")
def expected(clips):
    return PretrainedEmbedding(Patches).fit_transform(clips)


@pytest.fixture(scope="module")
def paths(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    paths = [str(folder / f"{number:03d}.wav") for number in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, SR, subtype="FLOAT")
    return paths


@pytest.mark.parametrize("most", [63, 32, 16])
def test_batches_that_do_not_fit_are_halved_and_no_bit_changes(clips, expected, most):
    embedding = PretrainedEmbedding(Patches).fit(clips)
    body = embedding.backbone_
    body._most = most
    with pytest.warns(UserWarning, match="Memory ran out") as caught:
        np.testing.assert_array_equal(embedding.transform(clips), expected)
    assert len(caught) == 1
    body._tried.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(embedding.transform(clips[::-1]), expected[::-1])
    assert max(body._tried) <= most


@pytest.mark.parametrize("most", [7, 1])
def test_below_16_units_the_last_digits_may_differ(clips, expected, most):
    embedding = PretrainedEmbedding(Patches).fit(clips)
    embedding.backbone_._most = most
    with pytest.warns(UserWarning, match="Memory ran out"):
        got = embedding.transform(clips)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_unit_that_does_not_fit_alone_is_an_error(clips):
    embedding = PretrainedEmbedding(Patches).fit(clips)
    embedding.backbone_._most = 0
    with (
        pytest.warns(UserWarning, match="Memory ran out"),
        pytest.raises(MemoryError, match=r"Memory ran out on 1 s of audio .* Give shorter clips"),
    ):
        embedding.transform(clips[1:2])


def test_what_fitted_is_remembered_without_a_change_of_attributes(clips):
    embedding = PretrainedEmbedding(Patches).fit(clips)
    before = vars(embedding).copy()
    embedding.backbone_._most = 20
    with pytest.warns(UserWarning, match="Memory ran out"):
        embedding.transform(clips)
    assert vars(embedding) == before
    assert embedding.get_params() == PretrainedEmbedding(Patches).get_params()


def test_a_classifier_finds_the_batch_that_fits_as_well(clips):
    y = [0, 1] * (len(clips) // 2)
    classifier = FineTunedClassifier(
        Patches(), frozen_layers="all", max_epochs=2, random_state=0, device="cpu"
    ).fit(clips, y)
    expected = classifier.predict_proba(clips)
    classifier.backbone_._most = 32
    with pytest.warns(UserWarning, match="Memory ran out"):
        np.testing.assert_array_equal(classifier.predict_proba(clips), expected)


def test_batches_last_a_minute_whatever_the_clips(clips, paths, expected):
    embedding = PretrainedEmbedding(Patches, device="cpu").fit(paths)
    body = embedding.backbone_
    np.testing.assert_array_equal(embedding.transform(paths), expected)
    assert sorted(heard for heard in body._heard if heard > 64) == [70.2, 80.0, 150.0]
    assert len(body._heard) < len(clips) / 3
    assert max(body._tried) == 64


def test_files_are_read_as_they_are_needed(paths, expected, monkeypatch):
    n_read, ahead = 0, []
    decode = _ahead.decode

    def counted(*args):
        nonlocal n_read
        n_read += 1
        return decode(*args)

    monkeypatch.setattr(_ahead, "decode", counted)
    embedding = PretrainedEmbedding(Patches, n_jobs=2, device="cpu").fit(paths)
    body, many = embedding.backbone_, 8 * paths
    n_used, cut = 0, body.front_end

    def front_end(clips):
        nonlocal n_used
        ahead.append(n_read - n_used)
        n_used += len(clips)
        return cut(clips)

    monkeypatch.setattr(body, "front_end", front_end)
    np.testing.assert_array_equal(embedding.transform(many), np.tile(expected, (8, 1)))
    assert n_used == len(many) == n_read
    # Two chunks wait and one is used, of 256 s or 256 clips each; all files last 3360 s.
    assert max(ahead) < len(many) / 2


def test_the_progress_bar_counts_all_rows_and_their_duration(clips, paths, capfd):
    for X in (clips, paths):
        PretrainedEmbedding(Patches, verbose=1).fit_transform(X)
        shown = capfd.readouterr()
        assert f"{len(clips)}/{len(clips)}" in shown.err
        assert "s of audio/s" in shown.err
        assert shown.out == ""
    PretrainedEmbedding(Patches).fit_transform(clips)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ({}, {}, True),
        ({}, {"n_jobs": 2, "verbose": 1, "on_error": "nan", "random_state": 7}, True),
        ({}, {"precision": "32", "device": "cpu"}, not torch.cuda.is_available()),
        ({"layers": [7, 8]}, {"layers": [7, 8], "fusion": "mean"}, True),
        ({}, {"precision": "bf16"}, False),
        ({}, {"layers": 1}, False),
        ({"layers": 0}, {"layers": 1}, False),
        ({"layers": [0, 1]}, {"layers": [1, 0]}, False),
        ({}, {"pooling": "max"}, False),
        ({"layers": 1}, {"layers": 1, "pooling": None}, False),
        ({"layers": 1}, {"layers": 1, "local": True}, False),
        ({}, {"weights": None, "random_state": 0}, False),
        ({"weights": None, "random_state": 0}, {"weights": None, "random_state": 1}, False),
        ({"weights": None, "random_state": 0}, {"weights": None, "random_state": 0}, True),
        ({}, {"backbone": "yamnet", "weights": None, "random_state": 0}, False),
    ],
    ids=str,
)
def test_rows_are_shared_by_what_computes_the_same_alone(tmp_path, first, second, shared):
    clip = (0.1 * np.random.default_rng(0).normal(size=16000)).astype(np.float32)
    for parameters in (first, second):
        plain = PretrainedEmbedding(**parameters).fit_transform([clip])
        kept = PretrainedEmbedding(memory=tmp_path, **parameters).fit_transform([clip])
        np.testing.assert_array_equal(kept, plain)
    assert len(list(tmp_path.rglob("*.npy"))) == (1 if shared else 2)


def test_a_row_is_found_by_its_samples_alone(clips, paths, expected, tmp_path):
    PretrainedEmbedding(Patches, memory=tmp_path).fit_transform(clips[:10])
    renamed = tmp_path / "renamed.wav"
    shutil.copy(paths[3], renamed)
    embedding = PretrainedEmbedding(Patches, memory=tmp_path).fit(paths)
    rows = embedding.transform([str(renamed), *paths[:10]])
    np.testing.assert_array_equal(rows, expected[[3, *range(10)]])
    assert embedding.backbone_._tried == []
    changed = clips[3] + np.float32(1e-7)
    embedding.transform([changed, clips[3][:-1]])
    assert len(embedding.backbone_._tried) > 0


def test_two_processes_share_a_folder_at_the_same_time(tmp_path):
    def embed(clips):
        torch.set_num_threads(1)
        embedding = PretrainedEmbedding("speech-mini", memory=tmp_path).fit(clips)
        return np.concatenate([embedding.transform([clip]) for clip in clips])

    generator = np.random.default_rng(0)
    clips = [(0.1 * generator.normal(size=5000 + n)).astype(np.float32) for n in range(30)]
    plain = PretrainedEmbedding("speech-mini").fit_transform(clips)
    rows = Parallel(n_jobs=2, timeout=100)(delayed(embed)(part) for part in (clips, clips[::-1]))
    np.testing.assert_array_equal(rows[0], plain)
    np.testing.assert_array_equal(rows[1], plain[::-1])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == len(clips)
    assert {path.suffix for path in files} == {".npy"}
