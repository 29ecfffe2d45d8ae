"""How fast are the front ends, and how far from librosa's numbers?

    python examples/benchmarks/bench_features.py --output docs/benchmarks/features-cpu.md

Every competitor is compared with librosa in float64 first. Competitors are timed in rounds, in
an order drawn anew each round; times are medians with quartiles, and ratios are taken within a
round. Data sets are looked for under $SKTL_HOME and left out where they are absent.
"""

import argparse
import warnings
from functools import partial
from pathlib import Path

import torch
from _cases import CASES, MissingData, load_clips
from _files import SOURCES, measure_files
from _formats import measure_formats
from _machine import calibration, copy_bandwidth, describe
from _measure import Result, measure_case
from _memory import is_supported, measure
from _peers import librosa_features
from _report import Report, report_case, report_files, report_formats, report_memory, report_summary
from threadpoolctl import threadpool_limits

SECTIONS = (*(case.key for case in CASES), "memory", "files")
MEMORY = (("mel", "ragged"), ("mfcc", "ragged"), ("mel", "single"), ("mfcc", "single"))
HOUR = 3600.0


def main() -> None:
    options = _parse()
    report = Report()
    device = options.device
    report.heading(f"Front ends on a {'GPU' if device == 'cuda' else 'CPU'}", level=1)
    _report_machine(report, options)
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa and others warn of empty mel bands
        _measure_cases(report, options)
        if device == "cpu" and "memory" in options.cases:
            _measure_memory(report, options)
        if device == "cpu" and "files" in options.cases:
            _measure_files(report, options)
    report.heading("Calibration")
    report.text(f"Before: {options.before}. After: {calibration()}.")
    if options.output:
        options.output.write_text("\n".join(report.lines).strip() + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cases", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few short clips, one thread")
    parser.add_argument("--output", type=Path, help="file for the tables")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    options.threads = [1] if options.device == "cuda" else sorted({1, *options.threads})
    if options.quick:
        options.rounds, options.threads = 2, [1]
    options.before = calibration()
    return options


def _report_machine(report: Report, options: argparse.Namespace) -> None:
    report.text(
        f"{options.rounds} rounds after one that is not counted; median (quartiles). Ratios are "
        "taken within each round."
        + (" Quick run: sizes too small for figures that mean anything." if options.quick else "")
    )
    rows = describe(options.device)
    options.bandwidth = None
    if options.device == "cuda":
        options.bandwidth = copy_bandwidth()
        rows.append(("device copy", f"{options.bandwidth / 1e9:,.0f} GB/s, read and written"))
    report.table(["machine", ""], rows)
    print(f"calibration: {options.before}", flush=True)


def _measure_cases(report: Report, options: argparse.Namespace) -> None:
    results: list[Result] = []
    for case in CASES:
        if case.key not in options.cases:
            continue
        report.heading(f"{case.data}: {case.title}")
        try:
            clips = load_clips(case, options.quick)
        except MissingData as reason:
            report.text(f"Left out: {reason}.")
            continue
        result = measure_case(case, clips, options.threads, options.rounds, options.device)
        report_case(report, result, options.threads, options.bandwidth)
        results.append(result)
    if results:
        report_summary(report, results)


def _measure_memory(report: Report, options: argparse.Namespace) -> None:
    report.heading("Memory")
    if not is_supported():
        report.text("Left out: this system does not tell the peak memory of a process.")
        return
    seconds = 60.0 if options.quick else HOUR
    settings = [(*kind, n) for n in options.threads for kind in MEMORY]
    settings = settings[:2] if options.quick else settings
    rows = [
        (*setting, measure(setting[0], setting[1], seconds, setting[2])) for setting in settings
    ]
    report_memory(report, rows, seconds)


def _measure_files(report: Report, options: argparse.Namespace) -> None:
    report.heading("Files")
    report_formats(report, measure_formats(options.rounds, options.quick))
    measured = {}
    for source in SOURCES:
        peer = partial(librosa_features, case=source.case)
        try:
            measured[source.title] = measure_files(
                source, options.threads, options.rounds, options.quick, peer
            )
        except MissingData as reason:
            report.text(f"{source.title}: left out, {reason}.")
    if measured:
        report_files(report, measured, options.threads)


if __name__ == "__main__":
    main()
