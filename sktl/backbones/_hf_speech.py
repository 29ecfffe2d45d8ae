"""wav2vec 2.0, HuBERT and WavLM: convolutions on the waveform, then transformer layers."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.rnn import pad_sequence

from ._base import Backbone, InputSpec
from ._conv1d import can_encode, encode, receptive_field
from ._hf_inputs import SpeechInput
from ._hf_layers import (
    Adapter,
    AttentionWithin,
    LastLayer,
    NormedConvolution,
    TransformerLayer,
    WavLMLayer,
    only_states,
)
from ._products import at_speed
from ._units import Ragged, UnitSpan, Values

__all__ = ["SpeechEncoder"]


class _FeatureEncoder(nn.Module):
    """(n, n_samples) → (n, n_frames, width): all that comes before the first layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        encoder = model.encoder
        self.convolutions = model.feature_extractor.conv_layers
        self.projection = model.feature_projection
        self.positions = encoder.pos_conv_embed
        if is_parametrized(self.positions.conv):
            self.positions.conv = NormedConvolution(self.positions.conv)
        self.norm = nn.Identity() if model.config.do_stable_layer_norm else encoder.layer_norm
        self.dropout = encoder.dropout

    def forward(self, clips: Tensor) -> Tensor:
        return self._place(self._frames([clips])[0])

    def of_each(self, clips: list[Tensor]) -> list[Tensor]:
        """The same of each (1, n_samples_i).

        Before the convolutions padding would change them; of the frames, zeros after the last
        change nothing.
        """
        frames = self._frames(clips)
        rows = self._place(_padded(frames)[0])
        return [row[None, : own.shape[1]] for row, own in zip(rows, frames, strict=True)]

    def _frames(self, groups: list[Tensor]) -> list[Tensor]:
        """Frames of each (n_i, n_samples_i) that do not know their place."""
        layers: Any = self.convolutions
        if can_encode(layers, groups):
            encoded = encode(layers, groups)
        else:
            encoded = [self._convolve(group) for group in groups]
        return [only_states(self.projection(states)) for states in encoded]

    def _convolve(self, clips: Tensor) -> Tensor:
        states = clips.unsqueeze(1)
        for convolution in self.convolutions:
            states = convolution(states)
        return states.transpose(1, 2)

    def _place(self, frames: Tensor) -> Tensor:
        return self.dropout(self.norm(frames + self.positions(frames)))


class SpeechEncoder(Backbone):
    """Transformer on a waveform: wav2vec 2.0, HuBERT or WavLM.

    Baevski et al., "wav2vec 2.0: a framework for self-supervised learning of speech
    representations", NeurIPS 2020; Hsu et al., "HuBERT: self-supervised speech representation
    learning by masked prediction of hidden units", IEEE/ACM TASLP 29, 2021; Chen et al., "WavLM:
    large-scale self-supervised pre-training for full stack speech processing", IEEE JSTSP 16,
    2022. The first block is the convolutional encoder with its projection and positional
    embedding, then each layer is one; the output of the last is transformers'
    ``last_hidden_state``. The embedding is its mean over time. Clips are taken whole. Before the
    convolutions they are never padded, as a normalisation over time would notice; the frames of
    several clips pass the layers at once. Masking and skipped layers of the pretraining are left
    out in training.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Its parts become those of the network.
    prepare : SpeechInput
        How a clip is prepared.
    """

    time_axis: ClassVar[Mapping[int, int]] = {3: 1}
    tuning_rate = 5e-5

    def __init__(self, model: Any, prepare: SpeechInput) -> None:
        super().__init__()
        config, layers = model.config, list(model.encoder.layers)
        self.prepare = prepare
        blocks: list[nn.Module] = [
            WavLMLayer(layer, layers[0])
            if config.model_type == "wavlm"
            else TransformerLayer(layer)
            for layer in layers
        ]
        after = [model.encoder.layer_norm] if config.do_stable_layer_norm else []
        adapter = getattr(model, "adapter", None)
        if adapter is not None:
            after.append(Adapter(adapter))
        if after:
            blocks[-1] = LastLayer(blocks[-1], *after)
        self.blocks = nn.ModuleList([_FeatureEncoder(model), *blocks])
        self.embedding_size = config.hidden_size if adapter is None else config.output_hidden_size
        self.field, self.hop = receptive_field(config.conv_kernel, config.conv_stride)
        self.input_spec = InputSpec("waveform", sr=prepare.sr, min_samples=self.field, varying=True)
        # Convolutions over padded frames, and WavLM's layers, know no mask.
        plain = not getattr(config, "conv_pos_batch_norm", False) and adapter is None
        self.masks_padding = plain and config.model_type != "wavlm"
        self.by_sdpa = config._attn_implementation == "sdpa"

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Each clip whole (1, n_samples), normalised where the network was trained so."""
        return [self.prepare(clip, self.field) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """The frames of the convolutional encoder, each around its centre."""
        sr, n_frames = self.prepare.sr, 1 + (shape[0] - self.field) // self.hop
        start = (self.field - self.hop) / 2 / sr
        return UnitSpan(n_frames * self.hop / sr, shape[0] / sr, start)

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over time."""
        return activations.mean(1)

    def run_ragged(self, values: Ragged, start: int = 0, stop: int | None = None) -> Values:
        """Frames of all clips at once, each clip's attending to their own alone.

        On a CPU they lie end to end. A GPU is faster on clips side by side, those of shorter ones
        padded and masked, than on the attention of one after another.
        """
        blocks: list[Any] = list(self.blocks[start:stop])
        if not self.masks_padding or not blocks:
            return super().run_ragged(values, start, stop)
        with at_speed():
            return self._run_ragged(values, start, blocks)

    def _run_ragged(self, values: Ragged, start: int, blocks: list[Any]) -> Values:
        units = values.one_by_one()
        if start == 0:
            units = blocks.pop(0).of_each(units)
        counts = [unit.shape[1] for unit in units]
        if values.device.type == "cpu" and self.by_sdpa:
            states = torch.cat(units, 1)
            with AttentionWithin(counts):
                for block in blocks:
                    states = block(states)
            return Ragged.concat(states.split(counts, 1))
        states, is_frame = _padded(units)
        for block in blocks:
            states = block(states, is_frame)
        return Ragged.concat([row[None, :n] for row, n in zip(states, counts, strict=True)])


def _padded(units: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Frames (n, n_frames, width) of units (1, n_frames_i, width), and which are none's padding."""
    states = pad_sequence([unit[0] for unit in units], batch_first=True)
    counts = torch.tensor([unit.shape[1] for unit in units], device=states.device)
    is_frame = torch.arange(states.shape[1], device=states.device) < counts[:, None]
    return states, is_frame[:, None, None]
