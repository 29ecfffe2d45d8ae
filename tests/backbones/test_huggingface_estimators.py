"""Networks of transformers in embeddings and classifiers."""

import pickle
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import ModuleHandle, make_backbone

every = pytest.mark.parametrize(
    "saved", ["wav2vec2", "hubert-stable", "wavlm", "whisper", "ast", "clap-fused"], indirect=True
)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    lengths = (900, 1600, 1600, 20)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in lengths]


@every
def test_layers_make_embeddings(saved, clips):
    body = make_backbone(saved.name).eval()
    with torch.no_grad():
        values = body.front_end([torch.from_numpy(clips[0])])[0]
        expected = body.frames(body.run_blocks(values, stop=2))[0].mean(0)
    first = PretrainedEmbedding(saved.name, layers=1).fit(clips)
    np.testing.assert_allclose(first.transform(clips[:1])[0], expected, rtol=1e-4, atol=1e-5)
    embedding = PretrainedEmbedding(saved.name, layers=[0, -1], pooling="mean_std").fit(clips)
    rows = embedding.transform(clips)
    assert rows.shape == (4, len(embedding.get_feature_names_out()))
    assert np.isfinite(rows).all()
    assert clone(embedding).backbone == saved.name
    again = pickle.loads(pickle.dumps(embedding))
    np.testing.assert_array_equal(again.transform(clips), rows)


@pytest.mark.parametrize(
    ("saved", "frozen_layers"),
    [
        *(("wav2vec2", 0), ("wav2vec2", "all"), ("wavlm", 2), ("hubert-stable", 1)),
        *(("whisper", 1), ("ast", 2), ("clap-fused", 1)),
    ],
    indirect=["saved"],
)
def test_a_classifier_trains_on_clips_of_any_length(saved, clips, tmp_path, frozen_layers):
    classifier = FineTunedClassifier(
        saved.name, frozen_layers=frozen_layers, max_epochs=2, lr=1e-2, random_state=0
    )
    labels = [0, 1, 0, 1]
    trained = clone(classifier).fit(clips, labels)
    cached = clone(classifier).set_params(memory=tmp_path).fit(clips, labels)
    again = clone(classifier).set_params(memory=tmp_path).fit(clips, labels)
    expected = trained.predict_proba(clips)
    for other in (cached, again, pickle.loads(pickle.dumps(trained))):
        np.testing.assert_array_equal(other.predict_proba(clips), expected)
    start = make_backbone(saved.name)
    moved = [
        any(not torch.equal(a, b) for a, b in zip(x.parameters(), y.parameters(), strict=True))
        for x, y in zip(start.blocks, trained.backbone_.blocks, strict=True)
    ]
    n_frozen = len(moved) if frozen_layers == "all" else frozen_layers
    assert moved == [i >= n_frozen for i in range(len(moved))]


def test_a_pickled_classifier_needs_no_folder(save, clips):
    saved = save("wavlm")
    trained = FineTunedClassifier(saved.name, max_epochs=1, random_state=0)
    trained.fit(clips, [0, 1] * 2)
    expected = trained.predict_proba(clips)
    text = pickle.dumps(trained)
    shutil.rmtree(saved.folder)
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(clips), expected)


def test_a_handle_and_a_fitted_classifier_are_backbones(saved_networks, clips):
    name = saved_networks["wav2vec2"].name
    direct = PretrainedEmbedding(name).fit_transform(clips)
    handle = ModuleHandle(partial(make_backbone, name))
    np.testing.assert_array_equal(PretrainedEmbedding(handle).fit_transform(clips), direct)
    probe = FineTunedClassifier(name, frozen_layers="all", max_epochs=1, random_state=0)
    probe.fit(clips, [0, 1] * 2)
    np.testing.assert_array_equal(PretrainedEmbedding(probe).fit_transform(clips), direct)


def test_too_many_frozen_layers_are_counted_of_the_name_that_was_given(saved_networks, clips):
    name = saved_networks["wav2vec2"].name
    with pytest.raises(ValueError, match=f"frozen_layers=9 but '{name}' has 4 blocks"):
        FineTunedClassifier(name, frozen_layers=9).fit(clips, [0, 1] * 2)
