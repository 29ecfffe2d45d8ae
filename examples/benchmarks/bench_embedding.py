"""How fast are embeddings of clips, against the loops that users write today?

    python examples/benchmarks/bench_embedding.py --output docs/benchmarks/embedding-cpu.md

Each network is run by its usual package, clip by clip, and by PretrainedEmbedding on the list of
clips. Both must give the same numbers; they are timed in rounds, in an order drawn anew each round.
Data sets and weights are looked for under $SKTL_HOME and left out where they are absent.
"""

import argparse
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _embedding_peers import Case, NotInstalled, audioset_case, ge2e_case, wav2vec2_case
from _machine import calibration, describe
from _report import Report
from _timing import Spread, interleave, ratio
from torch.utils.flop_counter import FlopCounterMode

TOLERANCE = 1e-4
SHARED = "both with the same number of torch threads"


def main() -> None:
    options = _parse()
    report = Report()
    device = options.device
    report.heading(f"Embeddings on a {'GPU' if device == 'cuda' else 'CPU'}", level=1)
    report.text(
        f"{options.rounds} rounds after one that is not counted; median (quartiles). Ratios are "
        f"taken within each round, {SHARED}; clips come as arrays. Error: largest difference of "
        "the rows, over the largest value; more than "
        f"{TOLERANCE:g} is no comparison. Floating-point operations are those that torch counts "
        "(products and convolutions), over the rate of a product of matrices of 1024² on one "
        "thread (of 8192² on a GPU)."
    )
    report.table(["machine", ""], describe(device))
    before, rate = calibration(), _product_rate(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in _cases(options):
            try:
                _measure(report, make(), options, rate)
            except NotInstalled as reason:
                report.text(f"Left out: {reason}.")
    report.heading("Calibration")
    report.text(f"Before: {before}. After: {calibration()}.")
    if options.output:
        options.output.write_text("\n".join(report.lines).strip() + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips", type=int, default=60, help="clips of each data set")
    parser.add_argument("--only", nargs="+", help="networks")
    parser.add_argument("--output", type=Path, help="file for the tables")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    if options.device == "cuda":
        options.threads = [1]
    return options


def _cases(options: argparse.Namespace) -> list:
    scenes, digits = _clips("esc10", options.clips), _clips("fsdd", options.clips)
    device = options.device
    made = {
        "yamnet": lambda: audioset_case("yamnet", scenes(), device),
        "vggish": lambda: audioset_case("vggish", scenes(), device),
        "ge2e": lambda: ge2e_case(digits(), device),
        "wav2vec2": lambda: wav2vec2_case(digits(), device, "wav2vec2-base, FSDD"),
        "wav2vec2-long": lambda: wav2vec2_case(scenes()[:8], device, "wav2vec2-base, ESC-10"),
    }
    return [make for name, make in made.items() if not options.only or name in options.only]


def _clips(name: str, count: int):
    """Every so many clips of a data set at 16 kHz."""

    def load() -> list[np.ndarray]:
        from sktl.audio import load_audio
        from sktl.datasets import fetch_fsdd, load_esc10

        try:
            data = load_esc10() if name == "esc10" else fetch_fsdd(download_if_missing=False)
        except OSError as error:
            raise NotInstalled(str(error)) from error
        paths = data.data[:: max(1, len(data.data) // count)][:count]
        return [load_audio(path, 16000) for path in paths]

    return load


def _measure(report: Report, case: Case, options: argparse.Namespace, rate: float) -> None:
    report.heading(case.title)
    seconds = sum(map(len, case.clips)) / 16000
    report.text(f"{len(case.clips)} clips, {seconds:,.0f} s. {case.peer}: {case.remark}")
    torch.set_num_threads(1)  # operations are counted in this thread alone
    with FlopCounterMode(display=False, custom_mapping=_onednn_operations()) as counter:
        ours = case.adapt(case.run_ours())
    theirs = case.run_peer()
    error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if not error <= TOLERANCE:
        report.text(f"Not the same numbers: error {error:.1e}, hence no ratio.")
        return
    runs = {}
    for n_threads in options.threads:
        runs["peer", n_threads] = (case.run_peer, n_threads)
        runs["ours", n_threads] = (case.run_ours, n_threads)
    times = interleave(runs, options.rounds)
    header = ["torch threads", f"{case.peer}, clips/s", "sktl, clips/s", f"{case.peer} / sktl"]
    header += ["error", "of the rate of products"]
    operations = counter.get_total_flops()
    rows = []
    for n_threads in options.threads:
        peer, our = (times[name, n_threads].wall for name in ("peer", "ours"))
        achieved = operations / float(np.median(our)) / rate if operations else np.nan
        rows.append(
            [
                str(n_threads),
                *(str(Spread.of(len(case.clips) / np.array(wall))) for wall in (peer, our)),
                str(ratio(peer, our)),
                f"{error:.1e}",
                "–" if np.isnan(achieved) else f"{achieved:.0%}",
            ]
        )
    report.table(header, rows)


def _onednn_operations() -> dict[Any, Callable[..., int]]:
    """How to count oneDNN's operations, which torch's counter does not know."""

    def count(values: Any, weight: Any, *others: Any, out_shape: Any = None, **named: Any) -> int:
        return 2 * math.prod(out_shape) * math.prod(weight[1:])

    names = ("_linear_pointwise", "_convolution_pointwise")
    return {getattr(torch.ops.mkldnn, name): count for name in names}


def _product_rate(device: str) -> float:
    """Floating-point operations per second of a product of matrices."""
    n = 1024 if device == "cpu" else 8192
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(0)).to(device)
    times = interleave({"product": (lambda: (a @ a).sum().item(), 1)}, 7)["product"].wall
    torch.set_num_threads(before)
    return 2 * n**3 / float(np.median(times))


if __name__ == "__main__":
    main()
