"""Pretrain speech-mini on the corpus that `synthesize.py` made.

    python train.py --corpus corpus --out runs

Three objectives share the network: which word it is (cosine softmax, so that the directions
of embeddings carry the word), which phonemes it begins and ends with (linear from the
embedding, which makes unseen words separable) and its phoneme sequence (CTC on frames).
Words and voices of the validation episodes never occur in training.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from augment import Conditions, mask, warped_units
from safetensors.torch import save_file
from synthesize import HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS
from torch import distributed, multiprocessing, nn
from torch.nn import functional as F
from validation import episodes, validation_clips

from sktl.backbones._speech_mini import SpeechMini

N_SAMPLES = 15600
N_POSITIONS = 4
N_HELD_OUT_WORDS = 120


class Corpus:
    """Utterances of the training words by the training voices."""

    def __init__(self, folder, seed):
        index = np.load(folder / "index.npz")
        self.words = index["words"]
        self.phonemes = [line.split() for line in index["phonemes"]]
        self.inventory = sorted({p for line in self.phonemes for p in line})
        rng = np.random.default_rng(seed)
        self.held_out = np.sort(rng.choice(len(self.words), N_HELD_OUT_WORDS, replace=False))
        keep = ~np.isin(index["word"], self.held_out)
        keep &= ~np.isin(index["variant"], HELD_OUT_VARIANTS)
        keep &= ~np.isin(index["language"], HELD_OUT_LANGUAGES)
        self.part, self.start = index["part"][keep], index["start"][keep]
        self.length, self.word = index["length"][keep], index["word"][keep]
        voices = zip(index["language"][keep], index["variant"][keep], strict=True)
        self.n_voices = len(set(voices))
        self.audio = [
            np.fromfile(folder / f"audio-{part}.i16", np.int16)
            for part in range(index["part"].max() + 1)
        ]

    def __len__(self):
        return len(self.word)

    def waves(self, rows):
        for row in rows:
            start = self.start[row]
            samples = self.audio[self.part[row]][start : start + self.length[row]]
            yield torch.from_numpy(samples.astype(np.float32) / 32768)

    def targets(self):
        """Per word: phonemes counted from both ends, and CTC labels (0 is blank)."""
        number = {p: i + 1 for i, p in enumerate(self.inventory)}
        ends = torch.zeros(len(self.words), 2 * N_POSITIONS, dtype=torch.long)
        sequences = []
        for row, line in enumerate(self.phonemes):
            labels = torch.tensor([number[p] for p in line])
            n = min(N_POSITIONS, len(labels))
            ends[row, :n] = labels[:n]
            ends[row, N_POSITIONS : N_POSITIONS + n] = labels.flip(0)[:n]
            sequences.append(labels)
        return ends, sequences


class Heads(nn.Module):
    """What is thrown away after pretraining."""

    def __init__(self, network, n_words, n_phonemes):
        super().__init__()
        size, width = network.embedding_size, network.blocks[-1].score.in_channels
        self.word = nn.Parameter(torch.randn(n_words, size) / size**0.5)
        self.ends = nn.Linear(size, 2 * N_POSITIONS * (n_phonemes + 1))
        self.frames = nn.Conv1d(width, n_phonemes + 1, 1)

    def losses(self, frames, embedding, word, ends, sequences):
        cosine = F.normalize(embedding, dim=1) @ F.normalize(self.word, dim=1).T
        word_loss = F.cross_entropy(20.0 * cosine, word, label_smoothing=0.05)
        logits = self.ends(embedding).unflatten(1, (2 * N_POSITIONS, -1))
        ends_loss = F.cross_entropy(logits.flatten(0, 1), ends[word].flatten())
        log_p = F.log_softmax(self.frames(frames), dim=1).permute(2, 0, 1)
        labels = [sequences[w] for w in word.tolist()]
        lengths = torch.tensor([len(x) for x in labels])
        full = torch.full_like(lengths, len(log_p))
        ctc = F.ctc_loss(log_p, torch.cat(labels), full, lengths, zero_infinity=True)
        hits = (cosine.argmax(1) == word).float().mean().item()
        return word_loss, ends_loss, ctc, hits


def learning_rate(step, n_steps, peak, warm_up=300):
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + np.cos(np.pi * (step - warm_up) / max(1, n_steps - warm_up)))


def save(network, path, notes):
    """Half precision on disk; `load_state_dict` turns it back into the network's dtype."""
    state = network.state_dict()
    kept = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(kept, path, metadata=notes)


class Team:
    """Processes of one thread each that average their gradients after every step."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size
        distributed.init_process_group("gloo", rank=rank, world_size=size)

    def average(self, tensors):
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        parts = (flat / self.size).split([t.numel() for t in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def train_step(network, heads, corpus, rows, targets, conditions):
    """Loss of one batch, its four parts as floats, gradients left on the parameters."""
    with torch.no_grad():
        batch = conditions.degrade(list(corpus.waves(rows)), N_SAMPLES)
        generator = conditions.generator
        units = mask(warped_units(network, batch, generator), generator)
    frames = network.run_blocks(units, 0, len(network.blocks) - 1)
    embedding = network.blocks[-1](frames)
    word = torch.from_numpy(corpus.word[rows])
    *losses, hits = heads.losses(frames, embedding, word, *targets)
    (losses[0] + losses[1] + 0.3 * losses[2]).backward()
    return np.array([*(x.item() for x in losses), hits])


def train(rank, options):
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    team = Team(rank, options.workers)
    generator = torch.Generator().manual_seed(1000 * options.seed + rank)
    shuffler = torch.Generator().manual_seed(options.seed)
    corpus = Corpus(options.corpus, options.seed)
    network = SpeechMini()
    heads = Heads(network, len(corpus.words), len(corpus.inventory))
    targets = corpus.targets()
    parameters = [*network.parameters(), *heads.parameters()]
    decayed = [p for p in parameters if p.ndim > 1]
    plain = [p for p in parameters if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
    )
    per_epoch = len(corpus) // options.batch_size
    n_steps = options.epochs * per_epoch
    report = Report(options, corpus) if rank == 0 else None
    step = 0
    for epoch in range(options.epochs):
        network.train()
        order = torch.randperm(len(corpus), generator=shuffler).numpy()
        conditions = Conditions(options.conditions, generator)
        sums = np.zeros(4)
        for at in range(per_epoch):
            rows = order[at * options.batch_size : (at + 1) * options.batch_size]
            optimizer.zero_grad()
            sums += train_step(network, heads, corpus, rows[rank :: team.size], targets, conditions)
            team.average([p.grad for p in parameters])
            nn.utils.clip_grad_norm_(parameters, 5.0)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, n_steps, options.lr)
            optimizer.step()
            step += 1
            if report and step % 50 == 0:
                report.progress(step, n_steps, sums / (at + 1), network)
        team.average([b for b in network.buffers() if b.is_floating_point()])
        if report:
            report.epoch(epoch, network, heads, sums / per_epoch)
    distributed.destroy_process_group()


class Report:
    """Validation, log and weights after each epoch."""

    def __init__(self, options, corpus):
        self.options, self.began = options, time.perf_counter()
        held_out = [str(corpus.words[i]) for i in corpus.held_out]
        self.clips = validation_clips(held_out, N_SAMPLES, options.seed)
        self.log = {
            "options": {k: v for k, v in vars(options).items() if not isinstance(v, Path)},
            "utterances": len(corpus),
            "words": len(corpus.words) - len(held_out),
            "voices": corpus.n_voices,
            "held_out_words": " ".join(held_out),
            "epochs": [],
        }

    def progress(self, step, n_steps, means, network):
        if step % 200 == 0:
            save(network, self.options.out / "unfinished.safetensors", {"step": str(step)})
        rate = step * self.options.batch_size / (time.perf_counter() - self.began)
        print(f"{step}/{n_steps} {np.round(means, 3).tolist()} {rate:.0f}/s", flush=True)

    def epoch(self, epoch, network, heads, means):
        network.eval()
        names = ("word_loss", "ends_loss", "ctc_loss", "word_accuracy")
        row = {"epoch": epoch + 1}
        row |= {name: round(float(v), 4) for name, v in zip(names, means, strict=True)}
        row["validation"] = episodes(network, self.clips, self.options.seed)
        row["seconds"] = round(time.perf_counter() - self.began)
        print(row, flush=True)
        self.log["epochs"].append(row)
        out = self.options.out
        (out / "log.json").write_text(json.dumps(self.log, indent=1) + "\n")
        notes = {
            "data": "synthetic speech by espeak-ng",
            "licence": "BSD-3-Clause",
            "script": "examples/pretraining/train.py",
            "epochs": str(epoch + 1),
        }
        save(network, out / "speech-mini.safetensors", notes)
        torch.save({"network": network.state_dict(), "heads": heads.state_dict()}, out / "last.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--conditions", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    multiprocessing.spawn(train, args=(options,), nprocs=options.workers)


if __name__ == "__main__":
    main()
