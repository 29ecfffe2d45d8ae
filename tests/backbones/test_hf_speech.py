"""wav2vec 2.0, HuBERT and WavLM against transformers called by hand."""

import numpy as np
import pytest
import soundfile
import torch

from sktl import PretrainedEmbedding
from sktl.backbones import Ragged, make_backbone
from sktl.backbones._units import over_groups

KINDS = ["wav2vec2", "hubert", "wavlm"]
every = pytest.mark.parametrize(
    "saved", [f"{kind}{suffix}" for kind in KINDS for suffix in ("", "-stable")], indirect=True
)
padded_by_mask = pytest.mark.parametrize("saved", [f"{k}-stable" for k in KINDS], indirect=True)

LENGTHS = (900, 2400, 1700, 2400, 20, 1300)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n) + 0.02).astype(np.float32) for n in LENGTHS]


@every
def test_every_layer_is_transformers(saved, clips, outputs_of):
    body = make_backbone(saved.name).eval()
    for clip in clips:
        expected = saved.run(clip)
        outputs = outputs_of(body, clip)
        states = [*expected.hidden_states[:-1], expected.last_hidden_state]
        assert len(outputs) == len(states) == 4
        for found, state in zip(outputs, states, strict=True):
            torch.testing.assert_close(found, state, rtol=1e-5, atol=1e-5)


@every
def test_embeddings_of_clips_of_any_length_are_those_of_each_alone(saved, clips):
    embedding = PretrainedEmbedding(saved.name).fit(clips)
    together = embedding.transform(clips)
    expected = np.concatenate([saved.run(clip).last_hidden_state.mean(1) for clip in clips])
    np.testing.assert_allclose(together, expected, atol=1e-5)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    if not embedding.backbone_.masks_padding:
        np.testing.assert_array_equal(together, alone)


@padded_by_mask
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM's own
@torch.no_grad()
def test_embeddings_are_those_of_a_padded_batch_with_its_mask(saved, clips):
    inputs = saved.inputs(clips, padding=True)
    assert inputs["attention_mask"].min() == 0
    states = saved.model(**inputs).last_hidden_state
    counts = saved.model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(1))
    expected = [row[:count].mean(0) for row, count in zip(states, counts.tolist(), strict=True)]
    found = PretrainedEmbedding(saved.name).fit_transform(clips)
    np.testing.assert_allclose(found, torch.stack(expected), atol=1e-5)


@every
def test_padding_would_have_changed_the_embedding(saved, clips, outputs_of):
    body = make_backbone(saved.name).eval()
    padded = np.pad(clips[0], (0, 700))
    assert not torch.allclose(
        outputs_of(body, clips[0])[-1].mean(1), outputs_of(body, padded)[-1].mean(1)
    )


@every
@torch.no_grad()
def test_clips_below_the_receptive_field_are_filled_up_as_by_the_extractor(saved, outputs_of):
    body = make_backbone(saved.name).eval()
    assert body.input_spec.min_samples == 20 == body.field
    clip = np.linspace(-0.1, 0.2, 9, dtype=np.float32)
    options = {"padding": "max_length", "max_length": 20, "return_attention_mask": True}
    inputs = saved.inputs(clip, **options)
    expected = saved.model(inputs["input_values"]).last_hidden_state
    torch.testing.assert_close(outputs_of(body, clip)[-1], expected, rtol=1e-5, atol=1e-5)
    assert outputs_of(body, clip[:1])[-1].isfinite().all()


@torch.no_grad()
def test_units_of_several_lengths_pass_the_network_at_once(saved_networks, clips):
    body = make_backbone(saved_networks["wavlm"].name).eval()
    units = body.front_end([torch.from_numpy(clip) for clip in clips])
    together = body(Ragged.concat(units))
    alone = torch.cat([body(unit) for unit in units])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_frames_lie_around_the_middle_of_what_they_see(saved_networks, outputs_of):
    body = make_backbone(saved_networks["wav2vec2"].name).eval()
    n_frames = outputs_of(body, np.zeros(2400, np.float32))[0].shape[1]
    span = body.unit_span((2400,))
    first = span.start + span.length / n_frames / 2
    assert (first * 16000, span.length / n_frames * 16000) == pytest.approx((10, 10))


def test_nothing_is_masked_or_left_out_in_training(save, clips, outputs_of):
    """With dropout off, training gives what eval gives; numpy's generator is not drawn from."""
    off = dict.fromkeys(
        ["hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"], 0.0
    )
    saved = save("wav2vec2", **off, layerdrop=0.9, mask_time_prob=0.5, mask_time_length=2)
    body = make_backbone(saved.name)
    assert body.training
    trained = outputs_of(body.train(), clips[1])
    torch.testing.assert_close(trained, outputs_of(body.eval(), clips[1]))


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm-stable"])
@pytest.mark.parametrize("width", [24, 20])
@pytest.mark.global_state("transformers' adapter draws from numpy's generator")
def test_an_adapter_belongs_to_the_last_block(save, clips, name, width, outputs_of):
    saved = save(name, add_adapter=True, num_adapter_layers=2, output_hidden_size=width)
    body = make_backbone(saved.name).eval()
    assert body.embedding_size == width
    for clip in clips:
        expected = saved.run(clip).last_hidden_state
        torch.testing.assert_close(outputs_of(body, clip)[-1], expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_of_positions_with_batch_normalisation(save, clips, outputs_of):
    saved = save("hubert", conv_pos_batch_norm=True)
    body = make_backbone(saved.name).eval()
    expected = saved.run(clips[0]).last_hidden_state
    torch.testing.assert_close(outputs_of(body, clips[0])[-1], expected, rtol=1e-5, atol=1e-5)
    assert body.fixed_statistics


def test_adapters_inside_the_layers_are_kept(save, clips, outputs_of):
    saved = save("wav2vec2-stable", adapter_attn_dim=8)
    body = make_backbone(saved.name).eval()
    expected = saved.run(clips[0]).last_hidden_state
    torch.testing.assert_close(outputs_of(body, clips[0])[-1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "saved", ["wav2vec2", "wav2vec2-stable", "hubert", "hubert-stable", "wavlm"], indirect=True
)
@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 1), (0, 3), (1, None), (2, 3), (2, 2)])
@pytest.mark.parametrize("end_to_end", [True, False])
@torch.no_grad()
def test_clips_together_pass_any_blocks_as_each_alone(saved, clips, start, stop, end_to_end):
    body = make_backbone(saved.name).eval()
    assert body.by_sdpa == body.masks_padding
    body.by_sdpa = end_to_end  # without it as on a GPU: padded, with a mask
    units = [body.front_end([torch.from_numpy(clip)])[0] for clip in clips]
    units = [body.run_blocks(unit, 0, start) for unit in units]
    found = body.run_ragged(Ragged.concat(units), start, stop)
    for row, unit in zip(found.one_by_one(), units, strict=True):
        expected = body.run_blocks(unit, start, stop)
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("saved", ["wav2vec2", "hubert-stable"], indirect=True)
def test_clips_together_give_the_gradients_of_each_alone(saved, clips):
    body = make_backbone(saved.name).eval()
    units = body.front_end([torch.from_numpy(clip) for clip in clips])
    found, expected = (
        torch.autograd.grad(embedding.square().sum(), list(body.parameters()))
        for embedding in (
            over_groups(body.pool, body.run_ragged(Ragged.concat(units))),
            torch.cat([body(unit) for unit in units]),
        )
    )
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("saved", ["wav2vec2-stable", "wavlm"], indirect=True)
@pytest.mark.parametrize("pooling", ["mean_std", None])
def test_files_that_cannot_be_read_are_nan_alone_and_among_others(saved, clips, tmp_path, pooling):
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for path, clip in zip(paths, clips[:2], strict=False):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    for path in paths[2:]:
        path.write_bytes(b"RIFF no more")
    embedding = PretrainedEmbedding(saved.name, pooling=pooling, on_error="nan").fit(clips[:2])
    expected = embedding.transform(clips[:2])
    with pytest.warns(UserWarning, match="2 of 4 audio files"):
        rows = embedding.transform([paths[2], paths[0], paths[3], paths[1]])
    with pytest.warns(UserWarning, match="2 of 2 audio files"):
        unreadable = embedding.transform(paths[2:])
    for found, row in zip(rows[1::2], expected, strict=True):
        np.testing.assert_allclose(found, row, atol=1e-5)
    for missing in (*rows[::2], *unreadable):
        assert np.isnan(missing).all()


@padded_by_mask
@pytest.mark.parametrize("pooling", ["max", "mean_std"])
def test_layers_may_be_asked_for_in_any_order(saved, clips, pooling):
    embedding = PretrainedEmbedding(saved.name, layers=[3, 0, 2], pooling=pooling)
    found = embedding.fit_transform(clips)
    np.testing.assert_array_equal(found, embedding.fit(clips).transform(clips))
    ordered = PretrainedEmbedding(saved.name, layers=[0, 2, 3], pooling=pooling)
    first, second, third = np.split(ordered.fit_transform(clips), 3, axis=1)
    np.testing.assert_array_equal(found, np.concatenate([third, first, second], axis=1))
