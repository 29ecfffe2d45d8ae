"""
Can a network ten times smaller hear as well?
=============================================

*A large network knows the sounds, but is too slow for the device that is to hear them. How much of
what it knows can a small one take over, and how much faster is it?*

ESC-10: ten sounds, 400 clips, five folds. The teacher is YAMNet (3.2 million weights) with a head
on its embedding. The student has YAMNet's first four blocks; of the other ten it has the small
spatial filters, but in place of each large matrix that mixes channels the product of two narrow
ones: 0.32 million weights. And it hears each second once where YAMNet hears it twice.

It learns in three steps:

1. each product is fitted to what YAMNet's matrix makes, block after block (a regression of reduced
   rank, solved at once);
2. the network learns to give YAMNet's embedding;
3. :class:`~sktl.DistilledClassifier` teaches it the answers, with labels and without.

A teacher can be asked about sounds that nobody has labelled. Such sounds are easily had: here they
are mixtures of two clips each of the 320 to train on, played faster or slower, new ones in every
round of the second step.

Ranks, rates, rounds and epochs were chosen in the training folds of the first split (students that
learned on folds 3 to 5, compared on fold 2); the other settings are defaults or were fixed
beforehand. ``--folds 5 --jobs 2`` runs all folds, two at a time; ESC-10 and the weights of YAMNet
are looked for in ``$SKTL_HOME``.
"""

import argparse
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import soxr
import torch
from joblib import Parallel, delayed
from torch import nn

from sktl import DistilledClassifier, FineTunedClassifier
from sktl.audio import load_audio
from sktl.backbones import LogMelPatches, YAMNet, make_backbone
from sktl.datasets import load_esc10
from sktl.exceptions import WeightsError

parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
parser.add_argument("--folds", type=int, default=1, help="how many of the five")
parser.add_argument("--jobs", type=int, default=1, help="folds at a time")
parser.add_argument(
    "--mixtures", type=int, default=12, help="for each clip to train on, in a round"
)
parser.add_argument("--rounds", type=int, default=4, help="of three epochs of learning to embed")
options, _ = parser.parse_known_args()

try:
    esc10 = load_esc10()
    yamnet = make_backbone("yamnet").eval()
except (FileNotFoundError, WeightsError) as error:
    sys.exit(f"Nothing to show: {error}")
clips = [load_audio(path, sr=16000) for path in esc10.paths]

# %%
# The student
# -----------
#
# A backbone is a list of blocks behind a front end. This one takes over all of YAMNet but the
# large matrices (convolutions of 1 × 1).

RANKS = {4: 40, 5: 40, 6: 40, **dict.fromkeys(range(7, 13), 20), 13: 16}
N_KEPT = min(RANKS)


class Factored(YAMNet):
    patches = LogMelPatches(patch_hop=96)
    pretrained = fixed_statistics = True

    def __init__(self):
        super().__init__()
        self.load_state_dict(yamnet.state_dict())
        del self.classifier
        for i, rank in RANKS.items():
            large = self.blocks[i].pointwise_conv.conv
            down = nn.Conv2d(large.in_channels, rank, 1, bias=False)
            up = nn.Conv2d(rank, large.out_channels, 1)
            self.blocks[i].pointwise_conv = nn.Sequential(down, up, nn.ReLU())


# %%
# First step: factors
# -------------------
#
# What the student's block sees is X, the output of the blocks that were fitted before it. What
# YAMNet's matrix makes of its own input is Y. Of all matrices of a rank, the best to make Y of X
# are the regression's, projected on the main directions of its fitted values (Izenman, Journal of
# Multivariate Analysis 5, 1975).


@torch.no_grad()
def factored(patches):
    student = Factored().eval()
    theirs = ours = patches
    for i, (large, small) in enumerate(zip(yamnet.blocks, student.blocks, strict=True)):
        if i in RANKS:
            made = large.depthwise_conv(theirs)
            made = large.pointwise_conv.bn(large.pointwise_conv.conv(made))
            fit_factors(small.depthwise_conv(ours), made, *small.pointwise_conv[:2])
        theirs, ours = large(theirs), small(ours)
    return student


def fit_factors(images, made, down, up):
    pixels = images.shape[0] * images.shape[2] * images.shape[3]
    some = torch.from_numpy(np.random.default_rng(0).permutation(pixels)[:60_000])
    X, Y = (rows.movedim(1, -1).flatten(0, 2)[some].double() for rows in (images, made))
    x, y = X.mean(0), Y.mean(0)
    covariance = (X - x).T @ (X - x)
    covariance += 1e-4 * covariance.diagonal().mean() * torch.eye(len(x))
    matrix = torch.linalg.solve(covariance, (X - x).T @ (Y - y))
    _, directions = torch.linalg.eigh(matrix.T @ covariance @ matrix)
    directions = directions[:, -down.out_channels :]
    narrow, bias = matrix @ directions, y - x @ matrix @ directions @ directions.T
    # Both factors of one size, so that one rate of learning fits both.
    size = (directions.square().mean() / narrow.square().mean()) ** 0.25
    down.weight.copy_((narrow.T * size)[..., None, None])
    up.weight.copy_((directions / size)[..., None, None])
    up.bias.copy_(bias)


# %%
# Second step: the embedding
# --------------------------
#
# The first blocks are YAMNet's own: they run once for each round of three epochs.

EPOCHS, BATCH_SIZE = 3, 64


@torch.no_grad()
def begun_and_embedded(patches):
    begun, embedded = [], torch.empty(len(patches), yamnet.embedding_size)
    for first in range(0, len(patches), BATCH_SIZE):
        part = yamnet.run_blocks(patches[first : first + BATCH_SIZE], stop=N_KEPT)
        embedded[first : first + BATCH_SIZE] = yamnet(part, start=N_KEPT)
        begun.extend(part)
    return begun, embedded


def taught_to_embed(student, rounds, lr=2e-4):
    learning = [p for block in student.blocks[N_KEPT:] for p in block.parameters()]
    optimizer = torch.optim.AdamW(learning, lr, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    schedule = spread = None
    for patches in rounds:
        begun, targets = begun_and_embedded(patches)
        n_batches = len(patches) // BATCH_SIZE
        if schedule is None:
            spread = targets.std(0).clamp(min=0.05)
            n_steps = options.rounds * EPOCHS * n_batches
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, n_steps, pct_start=0.1)
        for _ in range(EPOCHS):
            order = torch.randperm(len(patches), generator=generator)
            for rows in order[: n_batches * BATCH_SIZE].view(n_batches, BATCH_SIZE):
                made = student(torch.stack([begun[i] for i in rows]), start=N_KEPT)
                loss = ((made - targets[rows]) / spread).square().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(learning, 1.0)
                optimizer.step()
                schedule.step()
        del begun  # lest two rounds need memory at once
    return student


# %%
# Five ways to hear
# -----------------
#
# Rows with ``sample_domain=-1`` are clips without labels.

settings = {"frozen_layers": N_KEPT, "batch_size": 32, "lr": 1e-4, "random_state": 0}


def mixtures(train, generator, n_samples=80_000):
    """Two clips at other speeds, one more or less loud than the other, turned by some time."""
    made = []
    for _ in range(options.mixtures * len(train)):
        mixed = np.zeros(n_samples, dtype=np.float32)
        share = generator.random(dtype=np.float32)
        for part in (share, 1 - share):
            clip = train[generator.integers(len(train))]
            faster = soxr.resample(clip, 16000, 16000 * 2 ** generator.uniform(-0.5, 0.5), "MQ")
            mixed[: len(faster)] += part * faster[:n_samples]
        made.append(np.roll(mixed, generator.integers(n_samples)))
    return made


def probe(backbone, train, labels):
    return FineTunedClassifier(backbone, frozen_layers="all", random_state=0).fit(train, labels)


def ways_to_hear(train, labels):
    teacher = probe("yamnet", train, labels)
    yield "YAMNet", teacher
    generator, front_end = np.random.default_rng(0), Factored().front_end
    more = mixtures(train, generator)

    def patches(heard):
        return torch.cat([front_end([torch.from_numpy(clip)])[0] for clip in heard])

    some = patches(generator.permutation(np.stack(more))[:480])
    student = factored(some)
    yield "factors", probe(student, train, labels)
    tuned = FineTunedClassifier(student, mixup=0.2, max_epochs=20, **settings)
    yield "factors, tuned on labels alone", tuned.fit(train, labels)
    rounds = (patches(train + mixtures(train, generator)) for _ in range(options.rounds))
    student = taught_to_embed(student, rounds)
    yield "factors, taught to embed", probe(student, train, labels)
    domain = np.repeat([1, -1], [len(train), len(more)])
    masked = np.concatenate([labels, np.full(len(more), -1)])
    distilled = DistilledClassifier(
        teacher,
        student,
        alpha=0.9,
        temperature=4.0,
        lr_schedule="cosine",
        max_epochs=5,
        **settings,
    )
    yield (
        "taught to embed, then to answer",
        distilled.fit(train + more, masked, sample_domain=domain),
    )


# %%
# One fold after another
# ----------------------


def heard_in(fold):
    """Each way's answers right, and its classifier."""
    train, test = (np.flatnonzero(rows) for rows in (esc10.groups != fold, esc10.groups == fold))
    found = {}
    for name, ear in ways_to_hear([clips[i] for i in train], esc10.target[train]):
        right = ear.score([clips[i] for i in test], esc10.target[test])
        found[name] = right, ear
        print(f"fold {fold}  {name:<34}{right:.4f}", flush=True)
    return found


def clips_a_second(ear):
    """On one thread, of five tries the best."""
    n_threads, seconds = torch.get_num_threads(), []
    torch.set_num_threads(1)
    for _ in range(5):
        start = time.perf_counter()
        ear.predict(clips[:80])
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(n_threads)
    return 80 / min(seconds)


folds = np.unique(esc10.groups)[: options.folds]
found = Parallel(n_jobs=options.jobs)(delayed(heard_in)(fold) for fold in folds)
accuracy = {name: [heard[name][0] for heard in found] for name in found[0]}
speed = {name: clips_a_second(ear) for name, (_, ear) in found[0].items()}

n_weights = [sum(p.numel() for p in body.blocks.parameters()) for body in (yamnet, Factored())]
print(f"\nweights of the blocks: {n_weights[0]:,} and {n_weights[1]:,}")
print(f"\n{'mean over folds':<34}{'accuracy':>18}{'clips/s':>9}")
for name, rights in accuracy.items():
    print(f"{name:<34}{np.mean(rights):>9.4f} ± {np.std(rights):.4f}{speed[name]:>9.0f}")

# %%
# One picture
# -----------

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, rights in accuracy.items():
    ax.errorbar(speed[name], np.mean(rights), np.std(rights), fmt="o", label=name)
ax.set(
    xscale="log",
    xlabel="clips of five seconds heard in a second, one thread",
    ylabel="accuracy on ESC-10",
)
ax.legend(loc="lower left")
plt.show()

# %%
# What to try next: recordings of your own without labels in place of mixtures; several teachers in
# a ``VotingClassifier``; other ranks.
