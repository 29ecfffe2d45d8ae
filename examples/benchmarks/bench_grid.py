"""What does a grid search cost, when what is frozen is computed once for all of it?

    python examples/benchmarks/bench_grid.py --output docs/benchmarks/grid-cpu.md

The same GridSearchCV three times: (a) everything computed anew in every fit and score, as with any
network in scikit-learn's clothes; (b) rows kept in this process; (c) rows kept in a folder, by two
processes. All scores must be the same to the last bit. Data sets and weights are looked for under
$SKTL_HOME and left out where they are absent.
"""

import argparse
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import calibration, describe
from _report import Report
from _timing import digits
from joblib import Parallel, delayed, parallel_config
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from sktl import FineTunedClassifier
from sktl.audio import load_audio
from sktl.datasets import fetch_fsdd, load_esc10
from sktl.embedding import clear_memory

LAMBDAS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo")
WAYS = {
    "a": "anew",
    "b": "in memory",
    "c": "in a folder, n_jobs=2",
}

WHAT = """`GridSearchCV` over {n_lambdas} values of λ, 4 of `frozen_layers` and 5 folds: (a)
everything computed anew in every fit and score (`cache=False, memory=None`), as with any network
that is wrapped for scikit-learn; (b) `memory=":memory:"`, empty at first; (c) `memory=folder`,
empty at first, and `n_jobs=2`. One torch thread in each process. λ is `weight_decay`, the λ of
Loshchilov and Hutter (ICLR 2019): it counts at every depth, which the weight of L2-SP would not
where all blocks are frozen. The optimizer is AdamW at every depth, so that all ways do the same
mathematics; the default, "auto", would solve for the head where all is frozen, without epochs. The
scores are log losses of held-out clips, and **all {n} are the same to the last bit** in the three
ways; otherwise there would be no table."""

WORK = """(a) takes so long that clips and epochs are few and clips cut short, the same in all ways.
More epochs are in favour of (b) and (c), which run the frozen blocks once. Clips come as arrays:
with files, (a) would read each one {n_reads} times."""

DEPTHS = """Seconds of all fits and scores of a depth, those of two processes added up. In the
order of the grid: what is found at one depth starts from the one before, in (b) and (c)."""


@dataclass
class Case:
    """A network, the clips it learns from, their folds."""

    title: str
    backbone: str
    clips: list[np.ndarray]
    y: np.ndarray
    fold: np.ndarray
    depths: list[Any]


def main() -> None:
    options = _parse()
    report = Report()
    report.heading(f"Grids on a {'GPU' if options.device == 'cuda' else 'CPU'}", level=1)
    n_lambdas = len(_lambdas(options))
    text = WHAT.format(n_lambdas=n_lambdas, n=5 * 4 * n_lambdas)
    report.text(text.replace("\n", " "))
    report.text(WORK.format(n_reads=5 * 4 * n_lambdas).replace("\n", " "))
    report.table(["machine", ""], describe(options.device))
    before = calibration()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in {"yamnet": _yamnet, "transformer": _transformer}.items():
            if options.only and name not in options.only:
                continue
            try:
                case = make(options, Path(folder))
            except (OSError, ImportError) as error:
                report.text(f"Left out: {name} ({error}).")
                continue
            _measure(report, case, options, Path(folder) / f"rows of {name}")
        if not options.quick and "yamnet" in (options.only or ["yamnet"]):
            _measure_heads(report, options, Path(folder))
            options.clips, options.seconds = 400, np.inf
            _measure_one_more(report, _yamnet(options, Path(folder)), options)
    report.heading("Calibration")
    report.text(f"Before: {before}. After: {calibration()}.")
    if options.output:
        options.output.write_text("\n".join(report.lines).strip() + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--clips", type=int, default=50, help="clips of each data set")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each clip, at most")
    parser.add_argument("--only", nargs="+", choices=["yamnet", "transformer"])
    parser.add_argument("--quick", action="store_true", help="2 values of λ, clips of 1 s, 1 epoch")
    parser.add_argument("--output", type=Path, help="file for the tables")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    if options.quick:
        options.epochs, options.seconds = 1, 1.0
    return options


def _lambdas(options: argparse.Namespace) -> tuple[float, ...]:
    return LAMBDAS[1:3] if options.quick else LAMBDAS


def _yamnet(options: argparse.Namespace, folder: Path) -> Case:
    data = load_esc10()
    chosen = _balanced(data.target, data.groups, options.clips)
    title = "YAMNet, its published weights, ESC-10 in its own folds"
    clips = _read([data.data[i] for i in chosen], options)
    return Case(title, "yamnet", clips, data.target[chosen], data.groups[chosen], [4, 8, 12, "all"])


def _transformer(options: argparse.Namespace, folder: Path) -> Case:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    data = fetch_fsdd(download_if_missing=False)
    speaker = np.array([SPEAKERS.index(s) + 1 if s in SPEAKERS else 0 for s in data.speaker])
    chosen = _balanced(data.target, speaker, options.clips)
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=8,
        num_attention_heads=4,
        intermediate_size=512,
        conv_dim=(64,) * 7,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder / "network")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder / "network")
    title = "wav2vec 2.0 of 8 layers 128 wide, random weights, FSDD with a speaker per fold"
    clips = _read([data.data[i] for i in chosen], options)
    backbone = f"hf:{folder / 'network'}"
    return Case(title, backbone, clips, data.target[chosen], speaker[chosen], [3, 6, 8, "all"])


def _balanced(y: np.ndarray, fold: np.ndarray, count: int) -> np.ndarray:
    """About `count` rows, as many of each class in each of the folds 1 to 5; one at least."""
    classes = np.unique(y)
    each = max(1, count // (5 * len(classes)))
    found = [
        np.flatnonzero((y == label) & (fold == number))[:each]
        for number in range(1, 6)
        for label in classes
    ]
    return np.concatenate(found)


def _read(paths: list[Any], options: argparse.Namespace) -> list[np.ndarray]:
    clips = [load_audio(path, 16000) for path in paths]
    return [clip[: int(min(options.seconds, 60.0) * 16000)] for clip in clips]


def _measure(report: Report, case: Case, options: argparse.Namespace, folder: Path) -> None:
    grid = {"frozen_layers": case.depths, "weight_decay": _lambdas(options)}
    seconds = sum(map(len, case.clips)) / 16000
    report.heading(case.title)
    report.text(f"{len(case.clips)} clips, {seconds:,.0f} s; epochs: {options.epochs}.")
    ways = {
        "a": ({"cache": False, "memory": None}, 1),
        "b": ({"memory": ":memory:"}, 1),
        "c": ({"memory": folder}, 2),
    }
    clear_memory()
    _warm_up(case, options)
    results, wall = {}, {}
    for way, (parameters, n_jobs) in ways.items():
        estimator = _estimator(case, options).set_params(**parameters)
        search = GridSearchCV(
            estimator,
            grid,
            cv=PredefinedSplit(case.fold - 1),
            scoring="neg_log_loss",
            refit=False,
            n_jobs=n_jobs,
            error_score="raise",
        )
        start = time.perf_counter()
        with parallel_config("loky", inner_max_num_threads=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[way] = search.fit(case.clips, case.y).cv_results_
        wall[way] = time.perf_counter() - start
        if not _same_scores(results[way], results["a"]):
            raise SystemExit(f"({way}) gives other scores than (a): no comparison.")
    clear_memory()
    _report(report, case, results, wall)


def _measure_heads(report: Report, options: argparse.Namespace, folder: Path) -> None:
    """The deepest cut alone, for as many epochs as users give."""
    case = _yamnet(options, folder)
    case.title, case.depths = f"Heads alone: {case.title}", ["all"]
    longer = argparse.Namespace(**{**vars(options), "epochs": 20})
    _measure(report, case, longer, folder / "rows of heads")


def _measure_one_more(report: Report, case: Case, options: argparse.Namespace) -> None:
    """A fit and a score in the first fold, when all rows are kept already."""
    report.heading(f"One candidate more: {case.title}")
    report.text(
        f"Seconds of one fit and score in the first fold of {len(case.clips)} whole clips; epochs: "
        f"{options.epochs}. In (b), another candidate has been fitted at this depth before."
    )
    clear_memory()
    rows = []
    for depth in case.depths:
        seconds, scores = {}, []
        kept = {"frozen_layers": depth, "memory": ":memory:"}
        for way, parameters in {
            "a": {"frozen_layers": depth, "cache": False},
            "before": {**kept, "weight_decay": 0.1},
            "b": kept,
        }.items():
            estimator = _estimator(case, options).set_params(**parameters)
            start = time.perf_counter()
            scores.append(_fit_and_score(estimator, case))
            seconds[way] = time.perf_counter() - start
        if scores[0] != scores[2]:
            raise SystemExit(f"(b) gives another score than (a) at depth {depth}: no comparison.")
        a, b = seconds["a"], seconds["b"]
        rows.append([str(depth), digits(a), digits(b), f"**{digits(a / b)}**"])
    clear_memory()
    report.table(["frozen_layers", "(a) anew, s", "(b) in memory, s", "(a) / (b)"], rows)


def _fit_and_score(estimator: FineTunedClassifier, case: Case) -> float:
    parts = (case.fold != 1).nonzero()[0], (case.fold == 1).nonzero()[0]
    train, test = ([case.clips[i] for i in part] for part in parts)
    estimator.fit(train, case.y[parts[0]])
    return log_loss(case.y[parts[1]], estimator.predict_proba(test), labels=estimator.classes_)


def _estimator(case: Case, options: argparse.Namespace) -> FineTunedClassifier:
    return FineTunedClassifier(
        case.backbone,
        optimizer="adamw",
        head_epochs=0,
        lr=3e-4,
        max_epochs=options.epochs,
        batch_size=32,
        device=options.device,
        precision="32",
        random_state=0,
    )


def _warm_up(case: Case, options: argparse.Namespace) -> None:
    """Load packages and weights, in the two processes as well."""
    with parallel_config("loky", inner_max_num_threads=1):
        once = _estimator(case, options).set_params(max_epochs=1)
        once.fit(case.clips[:10], case.y[:10])
        Parallel(2)(delayed(once.fit)(case.clips[:10], case.y[:10]) for _ in range(2))


def _same_scores(results: dict[str, Any], expected: dict[str, Any]) -> bool:
    names = [name for name in expected if name.startswith("split")]
    return all(np.array_equal(results[name], expected[name]) for name in names)


def _report(
    report: Report, case: Case, results: dict[str, dict[str, Any]], wall: dict[str, float]
) -> None:
    report.text(DEPTHS.replace("\n", " "))
    depth = np.array([str(value) for value in results["a"]["param_frozen_layers"]])
    spent = {
        way: 5 * (found["mean_fit_time"] + found["mean_score_time"])
        for way, found in results.items()
    }
    header = ["frozen_layers", *(f"({way}) {what}, s" for way, what in WAYS.items())]
    header += ["(a) / (b)", "(a) / (c)"]
    rows = [
        _row(
            str(value), {way: float(each[depth == str(value)].sum()) for way, each in spent.items()}
        )
        for value in case.depths
    ]
    if len(rows) > 1:
        rows.append(_row("all four", {way: float(each.sum()) for way, each in spent.items()}))
    rows.append(_row("the search, wall-clock", wall))
    report.table(header, rows)


def _row(name: str, seconds: dict[str, float]) -> list[str]:
    a, b, c = seconds.values()
    return [name, *map(digits, (a, b, c)), f"**{digits(a / b)}**", f"**{digits(a / c)}**"]


if __name__ == "__main__":
    main()
