"""Domain adaptation against published tables, and on real audio, chosen without target labels.

Beds: "office" (12 tasks of Office-Caltech10, SURF), "fsdd-cnn" and "fsdd-speech-mini" (spoken
digits of a speaker left out), "esc10-telephone" and "esc10-noise" (sounds over a channel). Data and
weights are looked for in ``$SKTL_HOME``. What was fitted is kept in the folder ``--work``, so
that a run that was stopped goes on. Writes one table (Markdown) per bed.
"""

import argparse
from pathlib import Path

import numpy as np
from _adaptation_beds import BEDS
from _adaptation_runs import BLIND, SOURCE_ONLY, fit, path_of, score
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bed", choices=[OFFICE, *BEDS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, help="only so many of the tasks")
    parser.add_argument("--work", type=Path, help="folder of fitted networks, some GB")
    parser.add_argument("--output", type=Path, help="folder for adaptation_<bed>.md")
    options = parser.parse_args()
    if options.bed == OFFICE:
        lines = office_table(data_folder(None) / "office_caltech10_surf.npz")
        text = "\n\n".join([WHAT[OFFICE], "\n".join(lines)])
    else:
        if options.work is None:
            parser.error("--work is needed: networks are kept there")
        options.work.mkdir(parents=True, exist_ok=True)
        bed = BEDS[options.bed]()
        tasks = list(bed.tasks)[: options.tasks]
        found = results(bed, tasks, range(options.seeds), options.work)
        text = "\n\n".join([WHAT[options.bed], HOW, "\n".join(audio_table(found))])
    print(text)
    if options.output:
        command = f"python examples/benchmarks/paper_tables.py {options.bed}"
        if options.bed != OFFICE:
            command += f" --seeds {options.seeds} --work FOLDER"
        if options.tasks:
            command += f" --tasks {options.tasks}"
        page = f"# {options.bed}\n\n{text}\n\nMade by `{command}`.\n"
        (options.output / f"adaptation_{options.bed}.md").write_text(page)


def results(bed, tasks, seeds, folder):
    """Scores by task, method and seed."""
    found = {}
    for seed in seeds:
        for task in tasks:
            for method in bed.methods:
                run = fit(bed, task, method, seed, folder)
                path = path_of(bed, task, method, seed, folder).with_suffix(".json")
                found[task, method, seed] = score(bed, task, run, path)
    return found


def audio_table(found):
    """Accuracy of every method, of what every score chose, and of the oracle."""
    tasks, methods, seeds = (list(dict.fromkeys(each)) for each in zip(*found, strict=True))

    def values(name):
        return np.array([[[found[t, m, s][name] for m in methods] for s in seeds] for t in tasks])

    accuracy = values("target_accuracy")
    yield f"| method | {' | '.join(tasks)} | mean | gain |"
    yield "| :-- |" + " --: |" * (len(tasks) + 2)
    plain = accuracy[..., methods.index(SOURCE_ONLY)]

    def line(name, chosen):
        cells = " | ".join(f"{value:.3f}" for value in chosen.mean(axis=1))
        error = chosen.std(ddof=1) / chosen.size**0.5
        gain = f"{100 * (chosen - plain).mean():+.1f}"
        return f"| {name} | {cells} | **{chosen.mean():.3f}** ± {error:.3f} | {gain} |"

    for column, method in enumerate(methods):
        yield line(method, accuracy[..., column])
    for name in BLIND:
        choice = values(name).argmax(axis=2)[..., None]
        chosen = np.take_along_axis(accuracy, choice, axis=2)[..., 0]
        yield line(f"chosen by {name.replace('_', ' ')}", chosen)
    yield line("chosen by the oracle", accuracy.max(axis=2))


if __name__ == "__main__":
    main()
