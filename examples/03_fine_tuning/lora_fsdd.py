"""
A transformer and few weights to learn
======================================

*Is it enough to train adapters, and leave every weight of a transformer as it is?* Spoken digits::

    python examples/03_fine_tuning/lora_fsdd.py --output docs/benchmarks/lora_fsdd.md

Some draws on FSDD: the six speakers are split into three and three. A small Audio Spectrogram
Transformer, its weights drawn at random, learns all 1,500 clips of the first three. What it has
learned is then tuned on five clips per digit of the other three, and tested on their other clips.
Needs the extra ``[hf]``; data are looked for in ``$SKTL_HOME``.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from transformers import ASTConfig, ASTFeatureExtractor

from sktl import FineTunedClassifier
from sktl.datasets import fetch_fsdd

SHOTS = 5
SIZES = {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 4}
INPUT = {"max_length": 64, "num_mel_bins": 64}
METHODS = {
    "whole network": {},
    "linear probe": {"frozen_layers": "all"},
    "adapters of rank 2": {"lora": 2},
    "adapters of rank 8": {"lora": 8},
    "adapters of rank 8 in the upper two layers": {"lora": 8, "frozen_layers": -2},
}
WHAT = """Accuracy on FSDD of a small transformer that has learned all clips of three speakers
and is tuned on five clips per digit of the others in several ways: mean over {draws} draws of
speakers and clips, and the mean ± standard error of the differences to the whole network in the
same draws. Before it is tuned at all, the network reaches {before:.3f}; trained on the few clips
alone, {scratch:.3f}. Values were fixed beforehand. Made by
`examples/03_fine_tuning/lora_fsdd.py`."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapters in a transformer, on FSDD.")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="on the first three speakers")
    parser.add_argument("--output", type=Path, help="file for the table")
    options = parser.parse_args()
    data = fetch_fsdd(download_if_missing=False)
    scores, counts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        ASTConfig(**SIZES, **INPUT, num_attention_heads=4).save_pretrained(folder)
        ASTFeatureExtractor(**INPUT).save_pretrained(folder)
        for seed in range(options.draws):
            for name, score, count in tried(f"hf:{folder}", data, seed, options.epochs):
                scores.setdefault(name, []).append(score)
                counts[name] = count
                print(f"draw {seed}: {score:.3f} {name}", flush=True)
    before, scratch = (np.mean(scores.pop(name)) for name in ("as it is", "from scratch"))
    lines = table(scores, counts)
    print("\n".join(lines))
    if options.output:
        text = WHAT.format(draws=options.draws, before=before, scratch=scratch)
        parts = ["# Adapters in a transformer", text, "\n".join(lines)]
        options.output.write_text("\n\n".join(parts) + "\n")


def tried(transformer, data, seed, epochs):
    """Name, accuracy and number of learning weights of every way."""
    source, few, test = draw_clips(data, seed)
    paths, y = np.array(data.paths, dtype=object), data.target

    def fit(rows, backbone, **settings):
        model = FineTunedClassifier(backbone, random_state=0, **settings)
        return model.fit(list(paths[rows]), y[rows])

    learned = fit(
        *(source, transformer),
        weights=None,
        max_epochs=epochs,
        lr_schedule="one_cycle",
        spec_augment=True,
    )
    models = {
        "as it is": learned,
        "from scratch": fit(few, transformer, weights=None),
        **{name: fit(few, learned, **settings) for name, settings in METHODS.items()},
    }
    for name, model in models.items():
        yield name, model.score(list(paths[test]), y[test]), n_learning(model)


def table(scores, counts):
    """The first way is what the others are held against."""
    lines = ["| what learns | weights | accuracy | difference |", "| :-- | --: | --: | --: |"]
    first = next(iter(scores.values()))
    for name, found in scores.items():
        change = np.subtract(found, first)
        error = change.std(ddof=1) / len(change) ** 0.5
        given = ", ".join(f"`{key}={value!r}`" for key, value in METHODS[name].items())
        what = f"{name}: {given}" if given else name
        figures = f"{counts[name]:,} | {np.mean(found):.3f} | {change.mean():+.3f} ± {error:.3f}"
        lines.append(f"| {what} | {figures} |")
    return lines


def draw_clips(data, seed):
    """All rows of three speakers; of the others some rows to train on, and the rest."""
    rng = np.random.default_rng(seed)
    inside = np.isin(data.speaker, rng.choice(np.unique(data.speaker), 3, replace=False))
    rows = [rng.permutation(np.flatnonzero(~inside & (data.target == d))) for d in range(10)]
    few, test = ([order[part] for order in rows] for part in (slice(SHOTS), slice(SHOTS, None)))
    return np.flatnonzero(inside), np.concatenate(few), np.concatenate(test)


def n_learning(fitted):
    """Numbers that training may change, those of the head among them."""
    weights = fitted.net_.module_.parameters()
    return sum(weight.numel() for weight in weights if weight.requires_grad)


if __name__ == "__main__":
    main()
