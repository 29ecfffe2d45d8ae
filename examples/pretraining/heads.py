"""What is thrown away after pretraining: the objectives' own parameters."""

import torch
from torch import nn
from torch.nn import functional as F

N_POSITIONS = 4


def targets(sounds):
    """Per word: sounds counted from both ends, and CTC labels (0 is blank); how many sounds."""
    number = {c: i + 1 for i, c in enumerate(sorted(set("".join(sounds))))}
    ends = torch.zeros(len(sounds), 2 * N_POSITIONS, dtype=torch.long)
    sequences = []
    for row, word in enumerate(sounds):
        labels = torch.tensor([number[c] for c in word])
        n = min(N_POSITIONS, len(labels))
        ends[row, :n] = labels[:n]
        ends[row, N_POSITIONS : N_POSITIONS + n] = labels.flip(0)[:n]
        sequences.append(labels)
    return ends, sequences, len(number)


class Heads(nn.Module):
    """Cosine softmax over words, sounds at both ends, CTC."""

    def __init__(self, network, n_words, n_sounds):
        super().__init__()
        size, width = network.embedding_size, network.blocks[-1].score.in_channels
        self.word = nn.Parameter(torch.randn(n_words, size) / size**0.5)
        self.ends = nn.Linear(size, 2 * N_POSITIONS * (n_sounds + 1))
        self.frames = nn.Conv1d(width, n_sounds + 1, 1)

    def losses(self, frames, embedding, word, ends, sequences):
        """Weighted losses by name, and the share of words told."""
        cosine = F.normalize(embedding, dim=1) @ F.normalize(self.word, dim=1).T
        found = {"word": F.cross_entropy(20.0 * cosine, word, label_smoothing=0.05)}
        logits = self.ends(embedding).unflatten(1, (2 * N_POSITIONS, -1))
        found["ends"] = F.cross_entropy(logits.flatten(0, 1), ends[word].flatten())
        log_p = F.log_softmax(self.frames(frames), dim=1).permute(2, 0, 1)
        labels = [sequences[w] for w in word.tolist()]
        lengths = torch.tensor([len(x) for x in labels])
        full = torch.full_like(lengths, len(log_p))
        ctc = F.ctc_loss(log_p, torch.cat(labels), full, lengths, zero_infinity=True)
        found["ctc"] = 0.3 * ctc
        return found, (cosine.argmax(1) == word).float().mean().item()
