"""Pretrain speech-mini on the corpus that `synthesize.py` made.

    python train.py --corpus corpus --out runs --start first.safetensors

Three objectives share the network: which word it is (cosine softmax, so that the directions
of embeddings carry the word), which sounds it begins and ends with (linear from the
embedding, which makes unseen words separable) and its sequence of sounds (CTC on frames).
Words and voices of the validation episodes never occur in training; the weights kept are an
exponential moving average.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from augment import Conditions, mask, warped_units
from heads import Heads, targets
from safetensors.torch import load_file, save_file
from torch import distributed, multiprocessing, nn
from validation import N_SAMPLES, validate

from sktl.backbones._speech_mini import SpeechMini

# How often a batch draws from each kind of voice.
SHARES = {"english": 0.42, "accent": 0.08, "own": 0.15, "natural": 0.35}


class Corpus:
    """Utterances in four groups: by whom they are spoken."""

    def __init__(self, folder):
        index = np.load(folder / "index.npz")
        self.languages, self.words, self.sounds = (
            index[name].tolist() for name in ("languages", "words", "sounds")
        )
        self.part, self.start, self.length, self.word = (
            index[name] for name in ("part", "start", "length", "word")
        )
        english_word = np.array(self.languages)[self.word] == "en-us"
        # Named like "en-us", "gmw/en" or "en-gb-scotland".
        english_voice = np.array(["en" in x.split("-")[0] for x in index["voice"]])
        recorded = index["voice"] == "natural"
        self.groups = {
            "english": np.flatnonzero(english_word & english_voice),
            "accent": np.flatnonzero(english_word & ~english_voice & ~recorded),
            "own": np.flatnonzero(~english_word),
            "natural": np.flatnonzero(recorded),
        }
        self.n_voices = len(set(zip(index["voice"], index["variant"], strict=True)))
        self.audio = [
            np.memmap(folder / f"audio-{part}.i16", np.int16, "r")
            for part in range(self.part.max() + 1)
        ]

    def draw(self, n, rng):
        kinds = rng.choice(len(SHARES), n, p=list(SHARES.values()))
        groups = [self.groups[name] for name in SHARES]
        return np.array([rng.choice(groups[kind]) for kind in kinds])

    def waves(self, rows):
        for row in rows:
            start = self.start[row]
            samples = self.audio[self.part[row]][start : start + self.length[row]]
            yield torch.from_numpy(samples.astype(np.float32) / 32768)


class Average:
    """Exponential moving average of a network, batch statistics included."""

    def __init__(self, network, decay):
        self.network, self.decay = SpeechMini().eval(), decay
        self.network.load_state_dict(network.state_dict())

    @torch.no_grad()
    def update(self, network, step):
        # Young averages forget the start sooner.
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        mine = self.network.state_dict()
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                mine[name].lerp_(value, weight)
            else:
                mine[name].copy_(value)


class Team:
    """Processes of one thread each that average their gradients after every step."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size
        if size > 1:
            distributed.init_process_group("gloo", rank=rank, world_size=size)

    def average(self, tensors):
        if self.size == 1:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        parts = (flat / self.size).split([t.numel() for t in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


class Rate:
    """Learning rate: a warm-up, a constant, and a straight line to nothing at the end.

    A file `finish` in the output folder, which holds a step to come, moves the end forward:
    there the line begins.
    """

    def __init__(self, options):
        self.options, self.n_steps = options, options.steps

    def __call__(self, step):
        options, file = self.options, self.options.out / "finish"
        if step % 50 == 0 and file.exists():
            self.n_steps = min(options.steps, int(file.read_text()) + options.decay)
        left = min(1.0, (self.n_steps - step) / options.decay)
        return options.lr * min(left, (step + 1) / options.warm_up)


def save(network, path, notes):
    """Half precision on disk; `load_state_dict` turns it back into the network's dtype."""
    state = network.state_dict()
    kept = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(kept, path, metadata=notes)


def train_step(network, heads, corpus, rows, labels, conditions):
    """Gradients of one batch; its losses and the share of words told, as floats."""
    with torch.no_grad():
        batch = conditions.degrade(list(corpus.waves(rows)), N_SAMPLES)
        generator = conditions.generator
        units = mask(warped_units(network, batch, generator), generator)
    frames = network.run_blocks(units, 0, len(network.blocks) - 1)
    embedding = network.blocks[-1](frames)
    word = torch.from_numpy(corpus.word[rows])
    losses, hits = heads.losses(frames, embedding, word, *labels)
    sum(losses.values()).backward()
    return np.array([*(x.item() for x in losses.values()), hits])


def groups_of(modules, weight_decay):
    parameters = [p for module in modules for p in module.parameters()]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def train(rank, options):
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    team = Team(rank, options.workers)
    generator = torch.Generator().manual_seed(1000 * options.seed + rank)
    rng = np.random.default_rng([options.seed, rank])
    corpus = Corpus(options.corpus)
    network = SpeechMini()
    if options.start:
        network.load_state_dict(load_file(options.start))
    labels = targets(corpus.sounds)
    heads = Heads(network, len(corpus.words), labels[2])
    optimizer = torch.optim.AdamW(groups_of([network, heads], 0.03))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    average = Average(network, options.average)
    report = Report(options, corpus) if rank == 0 else None
    network.train()
    rate, step = Rate(options), 0
    while step < rate.n_steps:
        if step % 2000 == 0:
            conditions = Conditions(options.conditions, generator)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        rows = corpus.draw(options.batch_size // team.size, rng)
        values = train_step(network, heads, corpus, rows, labels[:2], conditions)
        team.average([p.grad for p in parameters])
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        step += 1
        if report:
            average.update(network, step)
            report.step(step, values, average.network, last=step == rate.n_steps)
    if team.size > 1:
        distributed.barrier()
        distributed.destroy_process_group()


class Report:
    """Validation, log and weights every so many steps."""

    def __init__(self, options, corpus):
        self.options, self.began, self.values = options, time.perf_counter(), []
        self.log = {
            "options": {k: v for k, v in vars(options).items() if not isinstance(v, Path)},
            "utterances": {name: len(rows) for name, rows in corpus.groups.items()},
            "words": len(corpus.words),
            "languages": len(set(corpus.languages)),
            "voices": corpus.n_voices,
            "checks": [],
        }

    def step(self, step, values, network, last):
        self.values.append(values)
        if step % 50 == 0:
            rate = step * self.options.batch_size / (time.perf_counter() - self.began)
            print(
                step, np.mean(self.values[-50:], 0).round(3).tolist(), f"{rate:.0f}/s", flush=True
            )
        if step % 200 == 0:
            save(network, self.options.out / "unfinished.safetensors", {"step": str(step)})
        if step % self.options.check_every == 0 or last:
            self.check(step, network)

    def check(self, step, network):
        names = ["word_loss", "ends_loss", "ctc_loss", "word_accuracy"]
        row = {"step": step}
        row |= dict(zip(names, np.mean(self.values, 0).round(4).tolist(), strict=True))
        row |= validate(network, self.options.corpus)
        row["seconds"] = round(time.perf_counter() - self.began)
        print(row, flush=True)
        self.values.clear()
        self.log["checks"].append(row)
        out = self.options.out
        (out / "log.json").write_text(json.dumps(self.log, indent=1) + "\n")
        notes = {
            "data": "synthetic speech by espeak-ng, Flite, hibari and Piper",
            "licence": "BSD-3-Clause",
            "script": "examples/pretraining/train.py",
            "steps": str(step),
        }
        save(network, out / "speech-mini.safetensors", notes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--decay", type=int, default=1000, help="last steps, rate going to 0")
    parser.add_argument("--check-every", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--conditions", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    multiprocessing.spawn(train, args=(options,), nprocs=options.workers)


if __name__ == "__main__":
    main()
