"""CLAP's audio tower against transformers called by hand."""

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl.backbones import fingerprint, make_backbone

LENGTHS = (900, 16_000, 5000, 9000)
both = pytest.mark.parametrize("saved", ["clap", "clap-fused"], indirect=True)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in LENGTHS]


@both
def test_the_ends_of_all_stages_are_transformers(saved, clips, outputs_of):
    body = make_backbone(saved.name).eval()
    for clip in clips:
        expected = saved.run(clip)
        outputs = outputs_of(body, clip)
        assert len(outputs) == 5
        for found, state in zip([outputs[0], outputs[2]], expected.hidden_states[:2], strict=True):
            torch.testing.assert_close(found, state.flatten(2).mT, rtol=1e-5, atol=1e-5)
        columns = body.frames(outputs[4], local=True)
        unfolded = expected.last_hidden_state.permute(0, 3, 2, 1).flatten(2)
        torch.testing.assert_close(columns, unfolded, rtol=1e-5, atol=1e-5)


@both
def test_embeddings_are_transformers_alone_or_together(saved, clips):
    embedding = PretrainedEmbedding(saved.name).fit(clips)
    together = embedding.transform(clips)
    expected = np.concatenate([saved.run(clip).pooler_output for clip in clips])
    np.testing.assert_allclose(together, expected, atol=1e-5)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)


def test_a_long_clip_is_the_mean_of_its_windows(saved_networks):
    saved = saved_networks["clap"]
    clip = np.random.default_rng(1).standard_normal(42_000).astype(np.float32) / 9
    parts = clip[:16_000], clip[16_000:32_000], clip[32_000:]
    expected = np.mean([saved.run(part).pooler_output.numpy() for part in parts], axis=0)
    found = PretrainedEmbedding(saved.name).fit_transform([clip])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_running_the_network_leaves_it_as_it_is(saved_networks, clips, outputs_of):
    body = make_backbone(saved_networks["clap"].name).eval()
    before = fingerprint(body)
    outputs_of(body, clips[0])
    assert fingerprint(body) == before


def test_columns_are_in_order_of_time(saved_networks, outputs_of):
    """A click changes those around it most, in whichever part of the fold it lies."""
    body = make_backbone(saved_networks["clap"].name).eval()
    rng = np.random.default_rng(0)
    noise = (1e-4 * rng.standard_normal(16_000)).astype(np.float32)
    for place in (1500, 7000, 14_500):
        click = noise.copy()
        click[place] = 0.5
        before, after = (body.frames(outputs_of(body, clip)[0])[0] for clip in (noise, click))
        change = (after - before).square().sum(1)
        assert abs(int(change.argmax()) / len(change) - place / 16_000) < 0.03


def test_settings_that_do_not_fit_are_refused(save):
    saved = save("clap", num_mel_bins=8)
    with pytest.raises(ValueError, match=r"makes 16 bands, but config.json takes 8"):
        make_backbone(saved.name)
