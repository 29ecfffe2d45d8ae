"""Whisper's encoder and AST against transformers called by hand."""

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl.backbones import make_backbone

LENGTHS = (900, 16_000, 5000, 800)
both = pytest.mark.parametrize("saved", ["whisper", "ast"], indirect=True)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in LENGTHS]


def embedded(saved, clip):
    expected = saved.run(clip)
    return expected.last_hidden_state.mean(1) if saved.is_whisper else expected.pooler_output


@both
def test_every_layer_is_transformers(saved, clips, outputs_of):
    body = make_backbone(saved.name).eval()
    for clip in clips:
        expected = saved.run(clip)
        outputs = outputs_of(body, clip)
        states = [*expected.hidden_states[:-1], expected.last_hidden_state]
        assert len(outputs) == len(states) == 4
        for found, state in zip(outputs, states, strict=True):
            torch.testing.assert_close(found, state, rtol=1e-5, atol=1e-5)


@both
def test_embeddings_are_transformers_alone_or_together(saved, clips):
    embedding = PretrainedEmbedding(saved.name).fit(clips)
    together = embedding.transform(clips)
    expected = np.concatenate([embedded(saved, clip) for clip in clips])
    np.testing.assert_allclose(together, expected, atol=1e-5)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)


@both
def test_a_long_clip_is_the_mean_of_its_windows(saved):
    window = make_backbone(saved.name).prepare.n_samples
    clip = np.random.default_rng(1).standard_normal(5 * window // 2 + 9).astype(np.float32) / 9
    parts = [clip[start : start + window] for start in range(0, len(clip), window)]
    expected = np.mean([embedded(saved, part).numpy() for part in parts], axis=0)
    found = PretrainedEmbedding(saved.name).fit_transform([clip])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_whispers_positions_are_not_trained(saved_networks):
    body = make_backbone(saved_networks["whisper"].name).requires_grad_(True)
    names = [name for name, _ in body.named_parameters()]
    assert not any("positions" in name for name in names)
    assert "blocks.0.positions" in body.state_dict()


def test_frames_of_ast_are_columns_of_patches(saved_networks):
    body = make_backbone(saved_networks["ast"].name)
    n_bands, n_columns = body.grid
    assert (n_bands, n_columns) == (2, 9)
    tokens = torch.randn(2, 2 + n_bands * n_columns, 24)
    frames, local = body.frames(tokens), body.frames(tokens, local=True)
    assert (frames.shape, local.shape) == ((2, 9, 24), (2, 9, 48))
    column = tokens[:, [2 + 4, 2 + 9 + 4]]
    torch.testing.assert_close(frames[:, 4], column.mean(1))
    torch.testing.assert_close(local[:, 4], column.flatten(1))


def test_an_impulse_is_found_where_it_is(saved_networks, outputs_of):
    """The patch that changes most is the one that lies around it."""
    for name in ("ast", "whisper"):
        body = make_backbone(saved_networks[name].name).eval()
        silence = np.zeros(15_000, np.float32)
        click = silence.copy()
        click[8000] = 0.5
        before, after = (body.frames(outputs_of(body, clip)[0])[0] for clip in (silence, click))
        change = (after - before).square().sum(1)
        span = body.unit_span(())
        centres = span.start + (torch.arange(len(change)) + 0.5) * span.length / len(change)
        near = (centres - 0.5).abs() <= 0.09
        assert near[change > 0.5 * change.max()].all()


def test_settings_that_do_not_fit_are_refused(save):
    saved = save("whisper", max_source_positions=60)
    with pytest.raises(
        ValueError, match=r"makes 100 frames of 20 bands, but config.json takes 120"
    ):
        make_backbone(saved.name)
    saved = save("ast", num_mel_bins=40)
    with pytest.raises(
        ValueError, match=r"makes 96 frames of 32 bands, but config.json takes 96 of"
    ):
        make_backbone(saved.name)
