"""One case: every competitor compared with librosa, then timed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from _cases import Case, n_frames, seconds_of
from _floor import FLOORS
from _machine import hashing, products
from _peers import OURS, PEERS, NotSupported, Peer, Task
from _reference import Reference, agrees, worst_error
from _timing import Run, Spread, Times, interleave, ratio
from _torch_peers import TORCH_PEERS

ALL_PEERS = (*PEERS, *TORCH_PEERS, *FLOORS)
# What more threads are worth while the others are timed: they share nothing.
YARDSTICKS = {"hashing": hashing, "products of matrices in the cache": products}


@dataclass
class Result:
    """What one case gave, by name of the competitor and number of threads."""

    case: Case
    n_clips: int
    n_frames: int
    seconds: float
    device: str
    errors: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    times: dict[Any, Times] = field(default_factory=dict)
    n_bytes: int = 0

    def clock(self, name: str) -> list[float]:
        """Seconds of each round on one thread: of the processor, or of the GPU."""
        times = self.times[name, 1]
        return times.gpu if self.device == "cuda" else times.cpu

    def micros(self, name: str) -> Spread:
        """Microseconds a frame."""
        return Spread.of(self.clock(name)) * (1e6 / self.n_frames)

    def times_ours(self, name: str) -> Spread:
        """How many times as long as ours a competitor takes."""
        return ratio(self.clock(name), self.clock(OURS))

    def names(self, agreeing: bool) -> list[str]:
        """Competitors whose numbers are librosa's, or are not."""
        return [name for name, error in self.errors.items() if agrees(self.case, error) == agreeing]


def measure_case(
    case: Case,
    clips: np.ndarray | list[np.ndarray],
    threads: list[int],
    rounds: int,
    device: str,
) -> Result:
    """Compare and time all competitors that take the case."""
    result = Result(case, len(clips), n_frames(case, clips), seconds_of(case, clips), device)
    reference = Reference(case, clips)
    given = _on_device(clips, device)
    runs: dict[Any, tuple[Run, int]] = {}
    for peer in ALL_PEERS:
        if not peer.takes(case, device):
            continue
        try:
            prepared = _prepare(peer, case, given, threads, device)
            result.errors[peer.name] = _error(peer, reference, prepared[peer.name, 1][0]())
        except NotSupported as reason:
            result.left_out[peer.name] = str(reason)
        except Exception as error:
            if peer.name == OURS:
                raise
            result.left_out[peer.name] = f"does not run here ({type(error).__name__})"
        else:
            runs |= prepared
    result.n_bytes = _bytes(clips) + sum(values.nbytes for values in _arrays(runs[OURS, 1][0]()))
    if device == "cpu" and len(threads) > 1:
        for name, work in YARDSTICKS.items():
            runs |= {(name, n): (work(n), 1) for n in threads}
    result.times = interleave(runs, rounds, device)
    return result


def _prepare(
    peer: Peer, case: Case, clips: Any, threads: list[int], device: str
) -> dict[Any, tuple[Run, int]]:
    """The competitor's run for each number of threads it can use."""
    return {
        (peer.name, n): (
            peer.build(Task(case, clips, n, device)),
            n if peer.torch_threads else 1,
        )
        for n in (threads if peer.threads else [1])
    }


def _error(peer: Peer, reference: Reference, output: Any) -> float:
    expected = reference.values(peer.pad_mode, peer.floor)
    if peer.frames_fewer:
        expected = [values[:, : -peer.frames_fewer] for values in expected]
    return worst_error(reference.case, peer.adapt(_arrays(output)), expected)


def _arrays(output: Any) -> Any:
    """Tensors as arrays on the CPU, in whatever they came."""
    if isinstance(output, torch.Tensor):
        return output.cpu().numpy()
    if isinstance(output, np.ndarray):
        return output
    return [row.cpu().numpy() if isinstance(row, torch.Tensor) else row for row in output]


def _bytes(clips: np.ndarray | list[np.ndarray]) -> int:
    return sum(clip.nbytes for clip in clips)


def _on_device(clips: np.ndarray | list[np.ndarray], device: str) -> Any:
    if device == "cpu":
        return clips
    if isinstance(clips, np.ndarray):
        return torch.from_numpy(clips).to(device)
    return [torch.from_numpy(clip).to(device) for clip in clips]
