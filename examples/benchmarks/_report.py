"""Markdown tables of what was measured."""

from collections.abc import Iterable

import numpy as np
from _files import FileTimes
from _floor import FLOOR
from _formats import FormatCost
from _measure import YARDSTICKS, Result
from _peers import OURS
from _reference import TOLERANCES
from _timing import Spread, digits, ratio


class Report:
    """Lines that are printed as they come and kept for a file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        """Paragraphs or lines of a table."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def heading(self, text: str, level: int = 2) -> None:
        """A heading between empty lines."""
        self.add("", f"{'#' * level} {text}", "")

    def text(self, text: str) -> None:
        """A paragraph."""
        self.add(text, "")

    def table(self, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """A table whose first column is text and whose other columns are numbers."""
        header = list(header)
        self.add(_row(header), _row([":--"] + ["--:"] * (len(header) - 1)))
        self.add(*(_row(row) for row in rows), "")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def report_case(
    report: Report, result: Result, threads: list[int], bandwidth: float | None
) -> None:
    """Tables of one case: ratios, competitors that compute something else, threads."""
    tolerance = TOLERANCES[result.case.feature]
    report.text(
        f"{result.n_clips} clips, {result.seconds:,.0f} s of sound, {result.n_frames:,} frames. "
        f"Error: largest difference from librosa in float64, at most {tolerance:g}."
    )
    clock = "GPU" if result.device == "cuda" else "CPU"
    header = ["one thread", "error", f"{clock} µs a frame", "× real time", f"time / {OURS}"]
    header += ["bandwidth"] if bandwidth else []
    same = [name for name in result.names(agreeing=True) if name != FLOOR]
    report.table(header, (_agreeing_row(result, name, bandwidth) for name in same))
    if FLOOR in result.errors:
        _report_floor(report, result)
    _report_others(report, result, clock)
    for name, reason in result.left_out.items():
        report.text(f"Left out: {name} {reason}.")
    if len(threads) > 1:
        _report_threads(report, result, threads)


def _agreeing_row(result: Result, name: str, bandwidth: float | None) -> list[str]:
    median = np.median(result.clock(name))
    row = [
        name,
        f"{result.errors[name]:.1e}",
        str(result.micros(name)),
        digits(result.seconds / median),
        str(result.times_ours(name)) if OURS in result.names(agreeing=True) else "–",
    ]
    return row + ([f"{result.n_bytes / median / bandwidth:.0%}"] if bandwidth else [])


def _report_floor(report: Report, result: Result) -> None:
    """How far above the bare primitives we are, if both compute what librosa does."""
    error = result.errors[FLOOR]
    if not {OURS, FLOOR} <= set(result.names(agreeing=True)):
        report.text(f"{OURS} / {FLOOR}: no ratio, errors {result.errors[OURS]:.1e}, {error:.1e}.")
        return
    above = ratio(result.clock(OURS), result.clock(FLOOR))
    report.text(
        f"**{OURS} / {FLOOR}: {above}**; the primitives take {result.micros(FLOOR)} µs a frame "
        f"(error {error:.1e})."
    )


def _report_others(report: Report, result: Result, clock: str) -> None:
    others = result.names(agreeing=False)
    if not others:
        return
    report.text("Not librosa's numbers, hence no ratio:")
    rows = ([name, f"{result.errors[name]:.1e}", str(result.micros(name))] for name in others)
    report.table(["one thread", "largest difference", f"{clock} µs a frame"], rows)


def _report_threads(report: Report, result: Result, threads: list[int]) -> None:
    """Wall-clock time by number of threads; the fastest rounds are the least disturbed."""
    header = ["wall-clock µs a frame", "1 thread", *(f"{n} threads" for n in threads[1:])]
    header += [f"1 / {n}" for n in threads[1:]] + [f"fastest 1 / {n}" for n in threads[1:]]
    rows = []
    for name in [*result.errors, *YARDSTICKS]:
        if (name, threads[-1]) not in result.times:
            continue
        walls = [result.times[name, n].wall for n in threads]
        row = [str(Spread.of(wall) * (1e6 / result.n_frames)) for wall in walls]
        if name in YARDSTICKS:
            row = ["–" for _ in walls]
        row += [str(ratio(walls[0], wall)) for wall in walls[1:]]
        row += [digits(min(walls[0]) / min(wall)) for wall in walls[1:]]
        rows.append([name, *row])
    report.table(header, rows)


def report_summary(report: Report, results: list[Result]) -> None:
    """Medians of the ratios, competitors by cases."""
    report.heading(f"Summary: time / {OURS}")
    report.text("On one thread. A dash: not measured, or not librosa's numbers.")
    names = list(dict.fromkeys(name for result in results for name in result.errors))
    cells = {name: [_summary_cell(result, name) for result in results] for name in names}
    rows = ([name, *row] for name, row in cells.items() if set(row) != {"–"})
    medians = [result.micros(OURS).median for result in results]
    ours = [f"{OURS}, µs a frame", *map(digits, medians)]
    report.table(["", *(result.case.key for result in results)], [*rows, ours])


def _summary_cell(result: Result, name: str) -> str:
    agreeing = result.names(agreeing=True)
    return digits(result.times_ours(name).median) if {name, OURS} <= set(agreeing) else "–"


def report_memory(report: Report, rows: list[tuple], seconds: float) -> None:
    """Peak above the input, the result included."""
    report.text(
        f"{seconds / 60:.0f} minutes at 16 kHz as float32 arrays, default settings (MFCC pooled); "
        "MB are 10^6 bytes. The peak is that of a process of its own, above what it held with the "
        "input loaded and a first clip computed; the result is part of it."
    )
    cells = (
        [
            f"{'MelSpectrogram' if feature == 'mel' else 'MFCC'}, {layout}",
            *(f"{value:,}" for value in (n_jobs, measured["n_clips"])),
            *(f"{measured[key]:,.1f}" for key in ("input", "result", "extra")),
        ]
        for feature, layout, n_jobs, measured in rows
    )
    report.table(["", "n_jobs", "clips", "input MB", "result MB", "peak above input MB"], cells)


def report_formats(report: Report, costs: list[FormatCost]) -> None:
    """Milliseconds to decode a clip, beside the computation it precedes."""
    seconds = costs[0].seconds
    report.text(f"What a clip of {seconds:g} s costs on one thread, CPU time:")
    rows = (
        [cost.name, _milliseconds(cost), str(ratio(cost.times.cpu, costs[-1].times.cpu))]
        for cost in costs
    )
    report.table(["", "ms a clip", "/ log-mel"], rows)


def _milliseconds(cost: FormatCost) -> str:
    return str(Spread.of(cost.times.cpu) * (1e3 / cost.n_clips))


def report_files(report: Report, measured: dict[str, FileTimes], threads: list[int]) -> None:
    """Wall-clock seconds and the ratio of both steps to the longer one."""
    report.text(
        "Wall-clock time. Decoding alone is the reader of the transformers, without what they "
        "compute; computing alone takes the decoded clips. Each uses `n_jobs` threads, both "
        "together as many for each step."
    )
    header = ["log-mel of files", "n_jobs", "decode ms", "compute ms", "both ms", "both / longer"]
    rows = []
    for title, files in measured.items():
        for n_jobs in threads:
            steps = [files.times[step, n_jobs].wall for step in ("decode", "compute", "both")]
            longer = np.maximum(steps[0], steps[1])
            cells = (str(Spread.of(wall) * 1e3) for wall in steps)
            rows.append([title, str(n_jobs), *cells, str(ratio(steps[2], list(longer)))])
    report.table(header, rows)
    _report_against_librosa(report, measured)


def _report_against_librosa(report: Report, measured: dict[str, FileTimes]) -> None:
    header = ["n_jobs=1", "files", "× real time", "librosa / sktl", "waveform error", "dB error"]
    rows = []
    for title, files in measured.items():
        both = files.times["both", 1].wall
        rows.append(
            [
                title,
                f"{files.n_files:,}",
                digits(files.seconds / float(np.median(both))),
                str(ratio(files.times["librosa", 1].wall, both)),
                *(f"{error:.1e}" for error in (files.waveform_error, files.feature_error)),
            ]
        )
    report.table(header, rows)
