"""Whisper's encoder and AST: transformers on a log-mel of fixed length."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ._base import Backbone, InputSpec
from ._hf_inputs import ASTInput, WhisperInput
from ._hf_layers import TransformerLayer
from ._units import UnitSpan

__all__ = ["AST", "WhisperEncoder"]


class _Convolutions(nn.Module):
    """(n, n_mels, n_frames) → (n, n_frames / 2, width), with the embedding of positions."""

    positions: Tensor

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        # Sinusoids, which no training changes.
        self.register_buffer("positions", encoder.embed_positions.weight.detach().clone())
        self.dropout = nn.Dropout(encoder.dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        states = functional.gelu(self.conv1(log_mel))
        states = functional.gelu(self.conv2(states)).transpose(1, 2)
        return self.dropout(states + self.positions)


class WhisperEncoder(Backbone):
    """Encoder of Whisper, trained to transcribe and translate speech.

    Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023. A
    block for the two convolutions with the embedding of positions, then one for each layer; the
    output of the last is transformers' ``last_hidden_state``, its mean over time the embedding,
    as ``WhisperForAudioClassification`` has it. The network always sees 30 s: the silence after
    a short clip is part of its input, and of that mean. A long clip is cut into windows.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
        Its parts become those of the network.
    prepare : WhisperInput
        How a clip is prepared.
    """

    unit_axes = (2, 1)
    time_axis: ClassVar[Mapping[int, int]] = {3: 1}
    tuning_rate = 5e-5

    def __init__(self, encoder: Any, prepare: WhisperInput) -> None:
        super().__init__()
        config = encoder.config
        n_frames = prepare.n_samples // prepare.hop_length
        expected = 2 * config.max_source_positions
        if (n_frames, prepare.n_mels) != (expected, config.num_mel_bins):
            raise ValueError(
                f"preprocessor_config.json makes {n_frames} frames of {prepare.n_mels} bands, but "
                f"config.json takes {expected} of {config.num_mel_bins}."
            )
        self.prepare = prepare
        layers: list[nn.Module] = [TransformerLayer(layer, None) for layer in encoder.layers]
        layers[-1] = nn.Sequential(layers[-1], encoder.layer_norm)
        self.blocks = nn.ModuleList([_Convolutions(encoder), *layers])
        self.embedding_size = config.d_model
        # On the CPU one at a time: windows are large, and rows that fill up a batch cost more.
        self.input_spec = InputSpec("waveform", sr=prepare.sr, varying=True)

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Log-mel (n_windows, n_mels, n_frames) of each waveform."""
        return [self.prepare(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Windows of 30 s, one after another."""
        return self.prepare.span

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over time."""
        return activations.mean(1)


class AST(Backbone):
    """Audio spectrogram transformer: patches of a log-mel, trained on AudioSet or other sounds.

    Gong et al., "AST: audio spectrogram transformer", Interspeech 2021. A block for the patches
    with the embedding of positions, then one for each layer; the output of the last is
    transformers' ``last_hidden_state``. The embedding is its ``pooler_output``, the mean of the
    two class tokens; frames are made of the patches alone. A long clip is cut into windows of
    `max_frames`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Its parts become those of the network.
    prepare : ASTInput
        How a clip is prepared.
    """

    unit_axes = (1, 2)
    tuning_rate = 5e-5

    def __init__(self, model: Any, prepare: ASTInput) -> None:
        super().__init__()
        config = model.config
        expected = (config.max_length, config.num_mel_bins)
        if (prepare.max_frames, prepare.n_mels) != expected:
            raise ValueError(
                f"preprocessor_config.json makes {prepare.max_frames} frames of {prepare.n_mels} "
                f"bands, but config.json takes {expected[0]} of {expected[1]}."
            )
        self.prepare = prepare
        # The latter before transformers 5.10.
        own = model.layers if hasattr(model, "layers") else model.encoder.layer
        layers: list[nn.Module] = [TransformerLayer(layer) for layer in own]
        layers[-1] = nn.Sequential(layers[-1], model.layernorm)
        self.blocks = nn.ModuleList([model.embeddings, *layers])
        self.embedding_size = config.hidden_size
        self.grid = tuple(model.embeddings.get_shape(config))
        self.patch, self.stride = int(config.patch_size), int(config.time_stride)
        self.input_spec = InputSpec(
            "waveform", sr=prepare.sr, min_samples=prepare.win_length, varying=True
        )

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Filter bank (n_windows, max_frames, n_mels) of each waveform."""
        return [self.prepare(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """The patches of a window, each around its centre."""
        prepare = self.prepare
        step = self.stride * prepare.hop_length
        centre = ((self.patch - 1) * prepare.hop_length + prepare.win_length) / 2
        length, hop = self.grid[1] * step / prepare.sr, prepare.n_samples / prepare.sr
        return UnitSpan(length, hop, (centre - step / 2) / prepare.sr)

    def pool(self, activations: Tensor) -> Tensor:
        """Mean of the two class tokens."""
        return activations[:, :2].mean(1)

    def frames(self, activations: Tensor, local: bool = False) -> Tensor:
        """Features of each column of patches, (n_units, n_columns, n_features)."""
        patches = activations[:, 2:].unflatten(1, self.grid).transpose(1, 2)
        return patches.flatten(2) if local else patches.mean(2)
