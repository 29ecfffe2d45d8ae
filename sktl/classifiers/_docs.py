"""Documentation that the network classifiers share, written once."""

from inspect import cleandoc
from textwrap import indent
from typing import TypeVar

__all__ = ["with_shared_docs"]

T = TypeVar("T", bound=type)

BACKBONE = """
backbone : str, path-like, Module, callable or estimator, default="auto"
    The network body: a name from :func:`sktl.backbones.available_backbones`, "hf:…",
    "torchvision:…" or "hear:…", a file that `save_backbone` wrote, the user's own module or
    zero-argument factory, or a fitted network estimator, whose trained body is the start (in a
    grid search, wrapped in :class:`sklearn.frozen.FrozenEstimator`, since clones are not
    fitted). "auto" takes "mlp" for 2-D arrays, "cnn" for 3-D arrays (spectrograms) and
    "speech-mini" for lists of clips or files.
"""

TRAINING = """
weights : {"pretrained"}, path-like or None, default="pretrained"
    Published weights where there are any, or those that a module or fitted estimator given as
    `backbone` holds; a file of weights; or None for random ones, whatever `backbone` holds.
frozen_layers : int, "all" or list of str, default=0
    ``blocks[:frozen_layers]`` keep their weights, as in Python slicing: 0 freezes nothing,
    3 the first three blocks, -1 all but the last; "all" trains the head alone. Strings are names
    of parameters or modules of the body, or patterns: ``["blocks.0", "*.bias"]``.
head : {"linear", "mlp", "cosine"}, Module or callable, default="linear"
    From the embedding to the classes: one linear layer; a hidden layer before it; cosines of the
    embedding and a vector for each class, times a learned scale (Chen et al., 2019); a module,
    which is copied; or a function of ``(n_inputs, n_outputs)`` that makes one.
layer_decay : float, default=1.0
    Block i, from 0, learns at ``lr * layer_decay ** (n_blocks - i)`` (Howard and Ruder, 2018);
    in (0, 1].
unfreeze_every : int, default=None
    Start with all blocks frozen and release one more, from the top, each so many epochs,
    down to `frozen_layers` (Howard and Ruder, 2018). None releases them at once.
head_epochs : int, "solve" or "auto", default="auto"
    Epochs in which the head learns alone, before any block is released (Kumar et al., 2022);
    "solve" puts the best linear head on the starting weights instead, as a linear probe does.
    "auto" does so where the body has learned before and the head is linear, else 0.
l2_sp : float, default=0.0
    Weight of half the squared distance to the starting weights of the body (Li et al., 2018).
batch_norm : {"auto", "frozen", "update", "adapt"}, default="auto"
    Statistics of batch normalisation: "frozen" keeps those of the starting weights, "update"
    moves them with every batch, "adapt" keeps them in training and changes all of them
    afterwards, so that target rows are normalised to what source rows are (AdaBN, Li et al.,
    2017). "auto" keeps those of published networks and updates others.
lora : int, default=None
    Rank of adapters in the transformer layers of "hf:…" networks, which then learn instead of
    these (Hu et al., 2022); extra ``[hf]``.
label_smoothing : float, default=0.0
    Share of each label that is spread evenly over all classes (Szegedy et al., 2016); in [0, 1).
mixup : float, default=0.0
    Rows of a batch are mixed in pairs with parts from a Beta(`mixup`, `mixup`) distribution
    (Zhang et al., 2018); 0 mixes nothing, usual is 0.2.
spec_augment : bool or dict, default=False
    Mask stretches of time and of frequency in the spectrograms that networks take (Park et al.,
    2019). A dict of any of ``n_time_masks=2, time_mask=0.2, n_freq_masks=2, freq_mask=0.2`` says
    how many masks, and the widest as a share of the spectrogram.
augment : callable, default=None
    Called as ``augment(samples, sample_rate)`` with every clip in every epoch; returns other
    samples. Those of the package audiomentations work as they are.
cache : bool, default=True
    Compute the frozen blocks once per row and train on their activations. Changes the time
    a fit takes, not its result. Without effect where `mixup`, `spec_augment` or `augment`
    changes rows in every epoch.
memory : path-like, joblib.Memory or ":memory:", default=None
    Where the output of the frozen blocks is kept per row and found again by other folds and
    candidates, also those that freeze more blocks, which go on from there: in a folder, which
    processes share, or with ":memory:" in this process, at most 2 GiB (or as many as the
    environment variable ``SKTL_MEMORY_GIB`` says), see :func:`~sktl.embedding.clear_memory`.
lr : float or "auto", default="auto"
    Learning rate of the head, and of the blocks while `layer_decay` is 1. "auto" is 1e-3 for
    a body of random weights, and 1e-4 for one that has learned before (published weights, a file,
    a fitted estimator), but 5e-5 for the transformers of "hf:…" without adapters.
lr_schedule : {"constant", "cosine", "one_cycle"}, default="constant"
    What becomes of the rates in the course of training: "cosine" lets them fall to 0 (Loshchilov
    and Hutter, 2017), "one_cycle" rise from a 25th during three tenths of it, then fall (Smith
    and Topin, 2019).
warmup_epochs : int, default=0
    Epochs in which the rates rise from 0 in a straight line, before the schedule begins.
max_epochs : int, default=50
    Passes over the training rows.
batch_size : int, default=64
    Rows per batch; with target rows half of them are source and half target.
optimizer : {"auto", "lbfgs", "adamw", "adam", "sgd"} or torch optimizer class, default="auto"
    What updates the weights. "lbfgs" solves a linear head on a frozen network directly, as
    :class:`sklearn.linear_model.LogisticRegression` with ``C = 1 / (weight_decay * n)`` (for
    two classes twice that) on the standardised embedding: no epochs, no learning rate. "auto"
    takes it wherever ``frozen_layers="all"`` leaves such a problem, else "adamw".
weight_decay : float, default=0.01
    Weight decay of the optimizer, where it has any; for "lbfgs" the weight of half the squared
    coefficients beside the mean loss.
average_epochs : int, default=0
    The weights become their mean over the ends of so many last epochs (Izmailov et al., 2018).
class_weight : dict, "balanced" or None, default=None
    Weight of each class, as in scikit-learn.
early_stopping : bool, default=False
    Hold out part of the source rows, stop when their loss no longer falls, and keep the
    best weights.
validation_fraction : float, default=0.1
    Share of the source rows to hold out, by class, or where `fit` is given groups, by these;
    in (0, 1).
n_iter_no_change : int, default=10
    Epochs without improvement before stopping.
warm_start : bool, default=False
    Go on from the weights of the previous fit, which must have had the same classes,
    instead of starting anew.
checkpoint : path-like, default=None
    Folder where the state after every epoch is kept. The same fit, called again after it was
    killed, goes on from there and ends with the same weights to the bit; called again after it
    came to its end, it is read. Fits of a grid search may share a folder. Needs a `random_state`
    that is not None; callbacks of your own begin anew.
device : str or torch.device, default="auto"
    Where to compute; "auto" takes a CUDA device if there is one.
precision : {"auto", "32", "bf16"}, default="auto"
    Precision of the forward pass; "auto" takes bf16 on a GPU that has it.
callbacks : list of skorch callbacks, default=None
    Called during training, besides our own.
net_params : dict, default=None
    Anything else the skorch net takes, for instance ``{"optimizer__betas": (0.9, 0.98)}``.
n_jobs : int, default=None
    Threads that read files ahead of the network.
verbose : int, default=0
    1 prints a line per epoch.
random_state : int, RandomState instance or None, default=None
    Seed of the initial weights, the order of the rows and dropout. An int gives the same
    result every time; None takes fresh entropy.
"""

ATTRIBUTES = """
classes_ : ndarray of shape (n_classes,)
    Labels seen on source rows.
net_ : skorch.NeuralNet
    The trained net.
backbone_ : Backbone
    The trained body.
history_ : list of dict
    One entry per epoch: losses, number of frozen blocks, duration; with `early_stopping` loss and
    accuracy of the rows held out. Of a head that was solved, one entry.
n_iter_ : int
    Number of entries in `history_`.
n_features_in_ : int
    Number of columns; only when X was an array.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, when all of them are strings.
"""


SHARED = {"backbone": BACKBONE, "training": TRAINING, "attributes": ATTRIBUTES}


def with_shared_docs(cls: T) -> T:
    """Replace {backbone}, {training} and {attributes} in the docstring of `cls`."""
    doc = cleandoc(cls.__doc__ or "")
    for name, text in SHARED.items():
        doc = doc.replace("{" + name + "}", text.strip())
    cls.__doc__ = indent(doc, "    ").strip() + "\n"
    return cls
