"""The contract every backbone keeps: an input, ordered blocks, an embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._products import at_speed
from ._units import Ragged, Units, UnitSpan, Values, over_groups

__all__ = ["Backbone", "InputSpec"]


@dataclass(frozen=True)
class InputSpec:
    """What a backbone takes.

    Parameters
    ----------
    kind : {"waveform", "spectrogram", "features"}
        Clips; arrays of shape (n, n_bands, n_frames); or arrays of any other shape.
    sr : int, default=None
        Sample rate in Hz, for waveforms.
    min_samples : int, default=1
        Shortest clip, in samples, that is not padded with zeros.
    varying : bool, default=False
        Whether units of clips of different lengths have different shapes.

    Examples
    --------
    >>> from sktl.backbones import InputSpec
    >>> InputSpec("waveform", sr=16000)
    InputSpec(kind='waveform', sr=16000, min_samples=1, varying=False)
    """

    kind: Literal["waveform", "spectrogram", "features"]
    sr: int | None = None
    min_samples: int = 1
    varying: bool = False


class Backbone(nn.Module):
    """Base class of every network body: ordered `blocks`, then an embedding.

    A subclass sets `input_spec`, `blocks` and `embedding_size`, and may override
    `front_end` (deterministic, before block 0) and `pool` (after the last block).
    Freezing, layer-wise learning rates and the frozen-prefix cache work on `blocks` alone.

    Attributes
    ----------
    input_spec : InputSpec
        What the network takes.
    blocks : nn.ModuleList
        Run in order; each takes the output of the one before.
    embedding_size : int
        Width of the embedding.
    cuttable : bool
        False for a user's module that could not be cut: its one block is frozen whole or
        not at all.
    uncut_reason : str
        Why it could not be cut.
    fixed_statistics : bool
        Whether batch normalisation keeps its loaded statistics in training, which small or
        mixed batches would spoil. Its scale and shift are trained either way.
    pretrained : bool
        Whether its weights come from a file or from a fitted network, which those that train it
        further take as a reason for smaller steps.
    tuning_rate : float
        Learning rate that suits the network when it has learned before.
    lora_rank : int or None
        Rank of the adapters that learn instead of its own weights; None without any.
    frame_size : int or None
        Width of the frames that `timed_frames` makes; None where it makes none.
    unit_axes : tuple of int or None
        Axes of time and of frequency in units (n_units, ...), where the front end makes
        spectrograms; None where it does not.

    Examples
    --------
    A network with a front end of its own, on clips at 8 kHz:

    >>> import torch
    >>> from torch import nn
    >>> from sktl.backbones import Backbone, InputSpec
    >>> class Envelope(Backbone):
    ...     input_spec = InputSpec("waveform", sr=8000, min_samples=800)
    ...     embedding_size = 16
    ...
    ...     def __init__(self):
    ...         super().__init__()
    ...         sizes = [(10, 16), (16, 16)]
    ...         self.blocks = nn.ModuleList(
    ...             nn.Sequential(nn.Linear(*size), nn.ReLU()) for size in sizes
    ...         )
    ...
    ...     def front_end(self, clips):
    ...         clips = [nn.functional.pad(c, (0, max(0, 800 - len(c)))) for c in clips]
    ...         return [c.unfold(0, 800, 800).reshape(-1, 10, 80).std(2) for c in clips]
    >>> body = Envelope()
    >>> [unit.shape for unit in body.front_end([torch.rand(100), torch.rand(4000)])]
    [torch.Size([1, 10]), torch.Size([5, 10])]
    """

    input_spec: InputSpec
    blocks: nn.ModuleList
    embedding_size: int
    cuttable: bool = True
    uncut_reason: str = ""
    fixed_statistics: bool = False
    pretrained: bool = False
    tuning_rate: ClassVar[float] = 1e-4
    lora_rank: int | None = None
    frame_size: int | None = None
    unit_axes: tuple[int, int] | None = None
    time_axis: ClassVar[Mapping[int, int]] = {3: 2, 4: 2}
    """Axis of time in activations of so many axes; others have no time."""
    uses_linear: ClassVar[bool] = True
    """Whether blocks may call ``functional.linear``, which `run_blocks` then makes faster."""
    masks_padding: bool = False
    """Whether `run_ragged` runs units of several lengths at once, as if each were alone."""
    made_from: tuple[str, tuple[int, ...] | None] | None = None
    """Name and shape of the rows, of a network that is known by name."""

    def train(self, mode: bool = True) -> Self:
        """Set training or eval mode; see `fixed_statistics`."""
        super().train(mode)
        if self.fixed_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm) and module.track_running_stats:
                    module.training = False
        return self

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Turn 1-D waveforms into one tensor of units (n_units_i, ...) per clip."""
        raise NotImplementedError(
            f"{type(self).__name__} takes {self.input_spec.kind}, not waveforms."
        )

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan | None:
        """Say where units lie in time; None where that is not known.

        Unless a subclass knows better, a unit of a network that takes clips whole is the clip, and
        any other is ``input_spec.min_samples`` long and begins where the one before ends.

        Parameters
        ----------
        shape : tuple of int
            Shape of one unit.

        Returns
        -------
        UnitSpan or None
        """
        spec = self.input_spec
        whole = spec.varying and len(shape) == 1
        n_samples = shape[0] if whole else 0 if spec.varying else spec.min_samples
        if spec.sr is None or n_samples <= 1:
            return None
        return UnitSpan(n_samples / spec.sr, n_samples / spec.sr)

    def pool(self, activations: Tensor) -> Tensor:
        """Turn the last block's output into (n_units, embedding_size)."""
        return activations.flatten(1)

    def frames(self, activations: Tensor, local: bool = False) -> Tensor:
        """Features of each frame of a block's output.

        Parameters
        ----------
        activations : Tensor of shape (n_units, ...)
            Output of a block.
        local : bool, default=False
            Keep channels at each frequency, instead of their mean over frequencies.

        Returns
        -------
        Tensor of shape (n_units, n_frames, n_features)
            One frame where the output has no axis of time.
        """
        axis = self.time_axis.get(activations.ndim)
        if axis is None:
            return activations.flatten(1).unsqueeze(1)
        moved = activations.movedim(axis, 1)
        if moved.ndim == 3:
            return moved
        return moved.flatten(2) if local else moved.flatten(3).mean(3)

    def timed_frames(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """Frames along each unit that are no output of a block, in place of its embedding.

        Only for a network that sets `frame_size`, with ``layers="last"``.

        Parameters
        ----------
        units : Tensor of shape (n_units, ...)

        Returns
        -------
        frames : Tensor of shape (n_units, n_frames, frame_size)
        times : Tensor of shape (n_units, n_frames)
            Centres, in seconds from the beginning of the unit.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no frames of its own.")

    def run_blocks(self, values: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Run ``blocks[start:stop]``."""
        with at_speed(self.uses_linear):
            for block in list(self.blocks)[start:stop]:  # a slice would be a new module
                values = block(values)
        return values

    def run_ragged(self, values: Ragged, start: int = 0, stop: int | None = None) -> Values:
        """Run ``blocks[start:stop]`` on units of several shapes."""
        return values.map(lambda group: self.run_blocks(group, start, stop))

    def embed(self, values: Values, start: int = 0) -> Tensor:
        """Embedding of each unit (n_units, embedding_size), after ``blocks[:start]``."""
        return over_groups(lambda group: self.pool(self.run_blocks(group, start)), values)

    def forward(self, values: Values, offsets: Tensor | None = None, start: int = 0) -> Tensor:
        """Embed units that have already passed ``blocks[:start]``.

        Parameters
        ----------
        values : Tensor of shape (n_units, ...), or Ragged
            Units, or the activations of block ``start - 1``.
        offsets : Tensor of shape (n_rows + 1,), default=None
            Where each row's units begin; None for one unit per row.
        start : int, default=0
            First block to run.

        Returns
        -------
        Tensor of shape (n_rows, embedding_size)
        """
        embedding = self.embed(values, start)
        return embedding if offsets is None else Units(embedding, offsets).mean()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load tensors by their names here, or by those of a published checkpoint.

        Parameters
        ----------
        state_dict : mapping of str to Tensor
            As `state_dict` gives it, or as `import_state_dict` takes it.
        strict : bool, default=True
            Raise an error where names are missing or unknown.
        assign : bool, default=False
            Take the tensors themselves instead of copying their values.

        Returns
        -------
        NamedTuple
            ``missing_keys`` and ``unexpected_keys``, as of :class:`torch.nn.Module`.
        """
        if not state_dict.keys() <= self.state_dict().keys():
            state_dict = self.import_state_dict(state_dict)
        return super().load_state_dict(state_dict, strict, assign)

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the keys of a published checkpoint to this network's; ours stay."""
        return dict(state)
