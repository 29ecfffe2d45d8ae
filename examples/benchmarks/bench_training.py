"""How fast does a network train, against a bare PyTorch loop and other libraries?

    python examples/benchmarks/bench_training.py --output docs/benchmarks/training-cpu.md

The same networks on the same rows and batches, by the same optimiser. The loop and sktl start from
the same weights and visit rows in the same order, so that their weights must agree in the end; all
are timed in rounds, in an order drawn anew each round.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from _machine import calibration, describe
from _report import Report
from _timing import Spread, Times, digits, interleave, ratio
from _training_loops import (
    BARE,
    OURS,
    TIGHTENED,
    NotInstalled,
    Task,
    Trained,
    bare,
    make_task,
    ours,
    quietly,
    start_of,
)
from _training_peers import PEERS

EPOCHS = 5
ROWS = {"mlp": 2048, "cnn": 128}
NETS = {
    "mlp": "MLP, two layers of 256 on 128 features",
    "cnn": "CNN, four convolutions on spectrograms of 64 × 96",
}
OBJECTIVES = {
    "source": "source rows alone",
    "dann": "DANN",
    "coral": "DeepCORAL",
    "mmd": "MMD, 33 kernels",
}
BF16 = "sktl, precision='bf16'"
# Of the loss of the last epoch: what rounding makes of some steps of Adam.
TOLERANCE = 1e-2


def main() -> None:
    options = _parse()
    report = Report()
    report.heading(f"Training on a {'GPU' if options.device == 'cuda' else 'CPU'}", level=1)
    clock = "GPU" if options.device == "cuda" else "CPU"
    report.text(
        f"{EPOCHS} epochs; {options.rounds} rounds after one that is not counted; median "
        f"(quartiles). {clock} time{'' if options.device == 'cuda' else ' on one thread'}; ratios "
        "are taken within each round. A fit is everything from arrays to trained weights: "
        "checks, building the network, the epochs. Loss: of classification in the last epoch; "
        "weights: largest difference from the bare loop's, over the largest weight."
    )
    report.table(["machine", ""], describe(options.device))
    before = calibration()
    torch.set_num_threads(1)
    summary = []
    for net in options.nets:
        report.heading(NETS[net])
        for objective in options.objectives:
            n = options.rows or ROWS[net]
            task = make_task(net, objective, n, EPOCHS, options.batch_size, options.device)
            summary.append([f"{net}, {objective}", *_measure(report, task, options.rounds)])
    report.heading("Summary: time / bare loop")
    report.table(["", OURS, TIGHTENED, *PEERS], summary)
    report.heading("Calibration")
    report.text(f"Before: {before}. After: {calibration()}.")
    if options.output:
        options.output.write_text("\n".join(report.lines).strip() + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--rows", type=int, help="of each domain, a multiple of the batch size")
    parser.add_argument("--batch-size", type=int, default=64, help="rows of each domain")
    parser.add_argument("--quick", action="store_true", help="does it run? two rounds of few rows")
    parser.add_argument("--output", type=Path, help="file for the tables")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    if options.quick:
        options.rounds, options.rows = 2, options.batch_size
    if options.rows and options.rows % options.batch_size:
        parser.error("--rows has to be a multiple of --batch-size")
    return options


def _measure(report: Report, task: Task, rounds: int) -> list[str]:
    """Compare and time all that take the task; medians of the ratios for the summary."""
    start = start_of(task)
    runs = {BARE: bare(task, start), TIGHTENED: bare(task, start, tightened=True)}
    runs[OURS] = ours(task, start)
    if task.net == "cnn":
        runs[BF16] = ours(task, start, precision="bf16")
    left_out = []
    found: dict[str, Trained] = {}
    for name, peer in PEERS.items():
        try:
            runs[name] = quietly(peer(task, start))
            found[name] = runs[name]()
        except NotInstalled as reason:
            left_out.append(str(reason))
            runs.pop(name, None)
        except Exception as error:
            left_out.append(f"{name} does not run here ({type(error).__name__}: {error})")
            del runs[name]
    found |= {name: runs[name]() for name in (BARE, TIGHTENED, OURS, BF16) if name in runs}
    expected = found[BARE].loss
    agrees = abs(found[OURS].loss - expected) <= TOLERANCE * expected
    times = interleave({name: (run, 1) for name, run in runs.items()}, rounds, task.device)
    clock = {name: _clock(task, spent) for name, spent in times.items()}
    report.text(
        f"**{OBJECTIVES[task.objective]}**: {task.n_batches} batches of {task.batch_size} rows"
        f"{'' if task.objective == 'source' else ' of each domain'}."
    )
    header = ["", "ms a fit", "µs a batch", "µs above the bare loop", "/ bare loop", "loss"]
    report.table([*header, "weights"], (_row(task, name, clock, found) for name in runs))
    for reason in left_out:
        report.text(f"Left out: {reason}.")
    if not agrees:
        report.text("sktl and the bare loop do not end alike, hence no ratio in the summary.")
    return [
        digits(ratio(clock[name], clock[BARE]).median) if name in clock and agrees else "–"
        for name in (OURS, TIGHTENED, *PEERS)
    ]


def _clock(task: Task, spent: Times) -> list[float]:
    return spent.gpu if task.device == "cuda" else spent.cpu


def _row(
    task: Task, name: str, clock: dict[str, list[float]], found: dict[str, Trained]
) -> list[str]:
    above = [1e6 * (a - b) / task.n_batches for a, b in zip(clock[name], clock[BARE], strict=True)]
    return [
        name,
        str(Spread.of(clock[name]) * 1e3),
        digits(Spread.of(clock[name]).median * 1e6 / task.n_batches),
        "–" if name == BARE else digits(Spread.of(above).median),
        "–" if name == BARE else str(ratio(clock[name], clock[BARE])),
        "–" if np.isnan(found[name].loss) else f"{found[name].loss:.4f}",
        _difference(found[name], found[BARE]),
    ]


def _difference(one: Trained, other: Trained) -> str:
    if not one.weights or one is other:
        return "–"
    largest = max(float(w.abs().max()) for w in other.weights)
    pairs = zip(one.weights, other.weights, strict=True)
    return f"{max(float((a - b).abs().max()) for a, b in pairs) / largest:.1e}"


if __name__ == "__main__":
    main()
