"""Domain adaptation against published tables, and on real audio, chosen without target labels.

Beds: "office" (12 tasks of Office-Caltech10, SURF), "fsdd-cnn" and "fsdd-speech-mini" (spoken
digits of a speaker left out), "esc10-telephone" and "esc10-noise" (sounds over a channel). Data and
weights are looked for in ``$SKTL_HOME``. What was fitted is kept in the folder ``--work``, so
that a run that was stopped goes on. Writes one table (Markdown) per bed; with ``--grid`` one of
every method on real audio with its λ chosen by scores that read no target labels and by the oracle.
"""

import argparse
from pathlib import Path

import numpy as np
from _adaptation_beds import BEDS
from _adaptation_runs import BLIND, GRIDS, SOURCE_ONLY, WEIGHTS, fit, path_of, score
from _office_caltech import table as office_table

from sktl.datasets._base import data_folder

OFFICE = "office"
WHAT = {
    OFFICE: """Accuracy in % on the target's rows, which were there without labels in training. The
protocol of Long et al. (ICCV 2013). C of the SVM by two-fold cross-validation on the source;
networks are `mlp` with default settings, weights λ of 1 (entropy .1), one seed.""",
    "fsdd-cnn": """FSDD, each speaker in turn without labels, the other five as source. `cnn` from
random weights on log-mel spectrograms (8 kHz, 40 bands, 0.64 s), 30 epochs.""",
    "fsdd-speech-mini": """FSDD, each speaker in turn without labels, the other five as source. The
last two blocks of `speech-mini`, 20 epochs.""",
    "esc10-telephone": """ESC-10, three folds clean and labelled, the recordings of the other two
over the telephone (300 to 3400 Hz, GSM) and without labels. YAMNet's last block, 20 epochs.""",
    "esc10-noise": """ESC-10, three folds clean and labelled, the recordings of the other two in
pink noise at an SNR of 5 dB and without labels. The last block of YAMNet, 20 epochs.""",
}
HOW = """Four fifths of the source train; the rest, and the target without labels, are what scores
choose by. Accuracy on the target, mean over seeds ± standard error of the mean over tasks and
seeds. Default settings, weights λ of 1 (entropy .1), nothing tuned; the oracle reads the target's
labels, nothing else does."""
HOW_GRID = """Four fifths of the source train; the rest, and the target without labels, are what
scores choose by. For every method, λ is one of 0 (source only), .1 and 1, for AdaBN it is off or
on. Accuracy on the target, mean ± standard error of the mean over tasks and seeds: of every λ, of
what each score chose, and of the oracle, which alone reads the target's labels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bed", choices=[OFFICE, *BEDS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, help="only so many of the tasks")
    parser.add_argument("--grid", action="store_true", help="every method with λ of 0, .1 and 1")
    parser.add_argument("--work", type=Path, help="folder of fitted networks, some GB")
    parser.add_argument("--output", type=Path, help="folder for adaptation_<bed>.md")
    options = parser.parse_args()
    name = f"{options.bed}_grid" if options.grid else options.bed
    if options.bed == OFFICE:
        if options.grid:
            parser.error("--grid is for the beds of real audio")
        lines = office_table(data_folder(None) / "office_caltech10_surf.npz")
        text = "\n\n".join([WHAT[OFFICE], "\n".join(lines)])
    else:
        if options.work is None:
            parser.error("--work is needed: networks are kept there")
        options.work.mkdir(parents=True, exist_ok=True)
        bed = BEDS[options.bed]()
        tasks = list(bed.tasks)[: options.tasks]
        settings = bed.settings if options.grid else bed.methods
        found = results(bed, tasks, settings, range(options.seeds), options.work)
        how, lines = (HOW_GRID, grid_table) if options.grid else (HOW, audio_table)
        text = "\n\n".join([WHAT[options.bed], how, "\n".join(lines(found))])
    print(text)
    if options.output:
        command = f"python examples/benchmarks/paper_tables.py {options.bed}"
        if options.bed != OFFICE:
            command += f"{' --grid' * options.grid} --seeds {options.seeds} --work FOLDER"
        if options.tasks:
            command += f" --tasks {options.tasks}"
        page = f"# {name}\n\n{text}\n\nMade by `{command}`.\n"
        (options.output / f"adaptation_{name}.md").write_text(page)


def results(bed, tasks, settings, seeds, folder):
    """Scores by task, setting and seed."""
    found = {}
    for seed in seeds:
        for task in tasks:
            for setting in settings:
                run = fit(bed, task, setting, seed, folder)
                path = path_of(bed, task, setting, seed, folder).with_suffix(".json")
                found[task, setting, seed] = score(bed, task, run, path)
    return found


def audio_table(found):
    """Accuracy of every method, of what every score chose, and of the oracle."""
    tasks, methods, _ = _axes(found)
    accuracy = _values(found, "target_accuracy", methods)
    yield f"| method | {' | '.join(tasks)} | mean | gain |"
    yield "| :-- |" + " --: |" * (len(tasks) + 2)
    plain = accuracy[..., methods.index(SOURCE_ONLY)]

    def line(name, chosen):
        cells = " | ".join(f"{value:.3f}" for value in chosen.mean(axis=1))
        gain = f"{100 * (chosen - plain).mean():+.1f}"
        return f"| {name} | {cells} | {_mean(chosen)} | {gain} |"

    for column, method in enumerate(methods):
        yield line(method, accuracy[..., column])
    for name in BLIND:
        yield line(f"chosen by {name.replace('_', ' ')}", _chosen(found, name, methods))
    yield line("chosen by the oracle", accuracy.max(axis=2))


def grid_table(found):
    """Accuracy of every method for every λ, and with the λ that every score chose."""
    _, settings, _ = _axes(found)
    titles = ["method", *(f"λ = {weight:g}" for weight in (0, *WEIGHTS))]
    titles += [name.replace("_", " ") for name in BLIND] + ["oracle"]
    yield f"| {' | '.join(titles)} |"
    yield "| :-- |" + " --: |" * (len(titles) - 1)
    for method, grid in GRIDS.items():
        if method == SOURCE_ONLY or grid[0] not in settings:
            continue
        names = [SOURCE_ONLY, *grid]
        accuracy = _values(found, "target_accuracy", names)
        cells = [_mean(accuracy[..., column]) for column in range(len(names))]
        # What is on or off has no λ but 1.
        cells[1:1] = [""] * (len(WEIGHTS) - len(grid))
        cells += [_mean(_chosen(found, name, names)) for name in BLIND]
        yield f"| {method} | {' | '.join(cells)} | {_mean(accuracy.max(axis=2))} |"


def _axes(found):
    return [list(dict.fromkeys(each)) for each in zip(*found, strict=True)]


def _values(found, name, settings):
    """One score: tasks × seeds × settings."""
    tasks, _, seeds = _axes(found)
    return np.array([[[found[t, m, s][name] for m in settings] for s in seeds] for t in tasks])


def _chosen(found, name, settings):
    """Accuracy of what one score chooses among settings: tasks × seeds."""
    choice = _values(found, name, settings).argmax(axis=2)[..., None]
    accuracy = _values(found, "target_accuracy", settings)
    return np.take_along_axis(accuracy, choice, axis=2)[..., 0]


def _mean(values):
    return f"**{values.mean():.3f}** ± {values.std(ddof=1) / values.size**0.5:.3f}"


if __name__ == "__main__":
    main()
