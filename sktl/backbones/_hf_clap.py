"""CLAP's audio tower: windowed attention on a folded mel spectrogram."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._base import Backbone, InputSpec
from ._hf_inputs import CLAPInput
from ._units import UnitSpan

__all__ = ["CLAPAudio"]


class _Patches(nn.Module):
    """(n, 1, n_frames, n_mels) → (n, n_patches, width).

    The spectrogram is stretched to `spec_size` × ratio frames, then folded: each of its ratio
    parts lies above the next, so that the image is a square.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.batch_norm = encoder.batch_norm
        self.patch_embed = encoder.patch_embed
        self.size, self.ratio = int(encoder.spec_size), int(encoder.freq_ratio)
        self.fused = bool(encoder.enable_fusion)

    def forward(self, decibels: Tensor) -> Tensor:
        normed = self.batch_norm(decibels.transpose(1, 3)).transpose(1, 3)
        size = (self.size * self.ratio, self.size // self.ratio)
        for axis, wanted in ((2, size[0]), (3, size[1])):
            if normed.shape[axis] < wanted:
                shape = [wanted if i == axis else normed.shape[i] for i in (2, 3)]
                normed = functional.interpolate(normed, shape, mode="bicubic", align_corners=True)
        parts = normed.unflatten(2, (self.ratio, -1))
        image = parts.permute(0, 1, 2, 4, 3).flatten(2, 3)
        if not self.fused:
            return self.patch_embed(image)
        # A short clip is its own three crops, and a clip alone counts as a long one.
        every = torch.arange(len(image), device=image.device)
        return self.patch_embed(image.expand(-1, 4, -1, -1), every)


class _Layer(nn.Module):
    """(n, n_patches, width) → the same, or a quarter of the patches, of twice the width."""

    def __init__(self, layer: Any, grid: tuple[int, int], merge: nn.Module | None) -> None:
        super().__init__()
        # Else it does so when it is first run, and is another network afterwards.
        layer.set_shift_and_window_size(grid)
        self.layer, self.merge, self.grid = layer, merge, grid

    def forward(self, states: Tensor) -> Tensor:
        states = self.layer(states, self.grid)[0]
        return states if self.merge is None else self.merge(states, self.grid)


class CLAPAudio(Backbone):
    """Audio tower of CLAP (HTSAT), trained to match sounds and their descriptions.

    Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and
    keyword-to-caption augmentation", ICASSP 2023. A block for the patches, then one for each
    layer, with the merging of patches where a stage ends. The embedding is the
    ``pooler_output`` of transformers' ``ClapAudioModel``: the mean over all patches, before the
    projection that texts share. A clip longer than a window (10 s) is cut into windows, where
    transformers draws crops at random. With `enable_fusion` every window is computed as
    transformers does a short clip alone.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Its parts become those of the network.
    prepare : CLAPInput
        How a clip is prepared.
    """

    unit_axes = (2, 3)
    tuning_rate = 5e-5

    def __init__(self, model: Any, prepare: CLAPInput) -> None:
        super().__init__()
        encoder = model.audio_encoder
        bands = model.config.num_mel_bins
        if prepare.n_mels != bands:
            raise ValueError(
                f"preprocessor_config.json makes {prepare.n_mels} bands, but config.json takes "
                f"{bands}."
            )
        self.prepare = prepare
        self.ratio = int(encoder.freq_ratio)
        blocks: list[nn.Module] = [_Patches(encoder)]
        self.grids = tuple((int(h), int(w)) for h, w in encoder.input_resolutions)
        for stage, grid in zip(encoder.layers, self.grids, strict=True):
            *others, last = stage.blocks
            blocks += [_Layer(layer, grid, None) for layer in others]
            blocks.append(_Layer(last, grid, stage.downsample))
        blocks[-1] = nn.Sequential(blocks[-1], encoder.norm)
        self.blocks = nn.ModuleList(blocks)
        self.embedding_size = int(encoder.num_features)
        # On the CPU one at a time: windows are large, and rows that fill up a batch cost more.
        self.input_spec = InputSpec("waveform", sr=prepare.sr, varying=True)

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Mel spectrogram (n_windows, 1, n_frames, n_mels) of each waveform."""
        return [self.prepare(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Windows of 10 s, one after another."""
        return self.prepare.span

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over all patches."""
        return activations.mean(1)

    def frames(self, activations: Tensor, local: bool = False) -> Tensor:
        """Features of each column of patches, unfolded: (n_units, n_columns, n_features)."""
        height, width = next(g for g in self.grids if g[0] * g[1] == activations.shape[1])
        patches = activations.unflatten(1, (self.ratio, height // self.ratio, width))
        columns = patches.transpose(2, 3).flatten(1, 2)
        return columns.flatten(2) if local else columns.mean(2)
