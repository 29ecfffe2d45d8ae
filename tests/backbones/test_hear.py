"""A module with the interface of the HEAR benchmark is a backbone."""

import pickle
import sys

import numpy as np
import pytest
import torch

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import input_kind, make_backbone

MODEL = """
import torch

class Model(torch.nn.Module):
    sample_rate = 8000
    scene_embedding_size = timestamp_embedding_size = 3

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.gain = torch.nn.Parameter(torch.tensor(2.0))

def load_model(model_file_path=""):
    return Model(model_file_path)

def get_scene_embeddings(audio, model):
    assert audio.ndim == 2
    parts = audio.mean(1), audio.std(1), audio.abs().amax(1)
    return model.gain * torch.stack(parts, dim=1)
"""

TIMESTAMPS = """
def get_timestamp_embeddings(audio, model):
    # A maximum every 10 ms.
    frames = audio.unfold(1, 80, 80).amax(2)
    times = 10.0 * torch.arange(frames.shape[1]).repeat(len(audio), 1) + 5.0
    return torch.stack([frames, -frames], dim=2), times
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "fakehear.py").write_text(MODEL)
    timed = MODEL.replace("= timestamp_embedding_size = 3", "= 3; timestamp_embedding_size = 2")
    (tmp_path / "timedhear.py").write_text(timed + TIMESTAMPS)
    bad = timed + TIMESTAMPS.replace(".repeat(len(audio), 1)", "")
    (tmp_path / "badhear.py").write_text(bad)
    (tmp_path / "nothear.py").write_text("def load_model(): ...\n")
    (tmp_path / "halfhear.py").write_text(
        "class Model: sample_rate = 8000\nload_model = Model\ndef get_scene_embeddings(a, m): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "hear:fakehear"
    for name in ("fakehear", "timedhear", "badhear", "nothear", "halfhear"):
        sys.modules.pop(name, None)


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, size=n).astype(np.float32) for n in (800, 300, 800, 500)]


def expected_scenes(clips, gain=2.0):
    rows = [(clip.mean(), clip.std(ddof=1), np.abs(clip).max()) for clip in clips]
    return gain * np.array(rows)


def test_embeddings_are_those_of_the_model_for_every_clip_alone(module, clips):
    assert input_kind(module) == "waveform"
    embedding = PretrainedEmbedding(module).fit_transform(clips)
    np.testing.assert_allclose(embedding, expected_scenes(clips), rtol=1e-5)


def test_the_rate_and_size_are_the_models(module):
    body = make_backbone(module)
    assert (body.input_spec.sr, body.embedding_size, len(body.blocks)) == (8000, 3, 1)
    assert not body.cuttable


def test_load_model_is_given_the_path(module):
    assert make_backbone(module).blocks[0].model.path == ""
    assert make_backbone(module, weights="some/folder").blocks[0].model.path == "some/folder"
    with pytest.raises(ValueError, match="weights=None, but backbone='hear:fakehear' comes with"):
        make_backbone(module, weights=None)


@pytest.mark.parametrize("frozen_layers", [0, "all"])
def test_a_classifier_trains_on_it_and_is_pickled(module, clips, frozen_layers):
    classifier = FineTunedClassifier(
        module, weights="folder", frozen_layers=frozen_layers, max_epochs=2, random_state=0
    ).fit(clips, [0, 1, 0, 1])
    gain = classifier.backbone_.blocks[0].model.gain.item()
    assert (gain == 2.0) == (frozen_layers == "all")
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(clips), classifier.predict_proba(clips))


def test_it_is_frozen_whole_or_not_at_all(module, clips):
    classifier = FineTunedClassifier(module, frozen_layers=1)
    classifier.fit(clips, [0, 1, 0, 1])
    body = make_backbone(module)
    assert torch.equal(classifier.backbone_.blocks[0].model.gain, body.blocks[0].model.gain)
    with pytest.raises(ValueError, match="has 1 blocks"):
        FineTunedClassifier(module, frozen_layers=2).fit(clips, [0, 1, 0, 1])


def test_what_does_not_follow_the_interface_is_refused(module):
    with pytest.raises(ValueError, match=r"No module named 'nowhere'\. Install the package"):
        make_backbone("hear:nowhere")
    for name in ("hear:", "hear:.fakehear", "hear:fake hear", "hear:../fakehear", "hear:a..b"):
        with pytest.raises(ValueError, match="is no name that can be imported; give that of a mod"):
            make_backbone(name)
    with pytest.raises(ValueError, match="the module has no get_scene_embeddings"):
        make_backbone("hear:nothear")
    with pytest.raises(ValueError, match="has no scene_embedding_size"):
        make_backbone("hear:halfhear")


def test_frames_are_the_timestamp_embeddings(module, clips):
    options = {"pooling": None, "output": "frames"}
    found = PretrainedEmbedding("hear:timedhear", **options).fit_transform(clips)
    for (times, values), clip in zip(found, clips, strict=True):
        n_frames = len(clip) // 80
        expected = clip[: 80 * n_frames].reshape(n_frames, 80).max(1)
        np.testing.assert_array_equal(values, np.stack([expected, -expected], axis=1))
        np.testing.assert_allclose(times, 0.01 * np.arange(n_frames) + 0.005, atol=1e-6)
    alike = PretrainedEmbedding("hear:timedhear", pooling=None).fit_transform(clips[:1])
    np.testing.assert_array_equal(alike[0], found[0].values)
    scenes = PretrainedEmbedding("hear:timedhear").fit_transform(clips)
    np.testing.assert_allclose(scenes, expected_scenes(clips), rtol=1e-5)


def test_a_file_that_cannot_be_read_is_a_frame_of_nan(module, clips, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "good.wav", clips[0], 8000)
    (tmp_path / "bad.wav").write_bytes(b"not audio")
    embedding = PretrainedEmbedding("hear:timedhear", pooling=None, on_error="nan")
    with pytest.warns(UserWarning, match=r"bad\.wav"):
        good, bad = embedding.fit_transform([tmp_path / "good.wav", tmp_path / "bad.wav"])
    assert good.shape == (10, 2)
    assert bad.shape == (10, 2)
    assert np.isnan(bad).all()


def test_frames_are_found_again_in_memory(module, clips, tmp_path):
    embedding = PretrainedEmbedding("hear:timedhear", pooling=None, memory=tmp_path)
    first = embedding.fit_transform(clips)
    for one, other in zip(first, embedding.transform(clips), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_timestamps_the_frame_is_the_clip(module, clips):
    options = {"pooling": None, "output": "frames"}
    found = PretrainedEmbedding(module, **options).fit_transform(clips)
    np.testing.assert_allclose([f.times[0] for f in found], [len(c) / 16000 for c in clips])
    np.testing.assert_allclose([f.values[0] for f in found], expected_scenes(clips), rtol=1e-5)


def test_timestamps_of_another_shape_are_refused(module, clips):
    embedding = PretrainedEmbedding("hear:badhear", pooling=None)
    with pytest.raises(ValueError, match=r"'badhear' gave embeddings \(1, 3, 2\) and timest"):
        embedding.fit_transform(clips)
