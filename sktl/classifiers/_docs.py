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
frozen_layers : int or "all", default=0
    ``blocks[:frozen_layers]`` keep their weights, as in Python slicing: 0 freezes nothing,
    3 the first three blocks, -1 all but the last; "all" trains the head alone.
head : {"linear", "mlp"}, default="linear"
    From the embedding to the classes: one linear layer, or a hidden layer before it.
layer_decay : float, default=1.0
    Block i, from 0, learns at ``lr * layer_decay ** (n_blocks - i)`` (Howard and Ruder, 2018);
    in (0, 1].
unfreeze_every : int, default=None
    Start with all blocks frozen and release one more, from the top, each so many epochs,
    down to `frozen_layers` (Howard and Ruder, 2018). None releases them at once.
l2_sp : float, default=0.0
    Weight of half the squared distance to the starting weights of the body (Li et al., 2018).
cache : bool, default=True
    Compute the frozen blocks once per row and train on their activations. Changes the time
    a fit takes, not its result.
memory : path-like or joblib.Memory, default=None
    Folder where activations of the frozen blocks are kept per row and found again by other
    folds, candidates and processes.
lr : float, default=1e-3
    Learning rate of the head, and of the blocks while `layer_decay` is 1.
max_epochs : int, default=50
    Passes over the training rows.
batch_size : int, default=64
    Rows per batch; with target rows half of them are source and half target.
optimizer : {"adamw", "adam", "sgd"} or torch optimizer class, default="adamw"
    What updates the weights.
weight_decay : float, default=0.01
    Weight decay of the optimizer, where it has any.
class_weight : dict, "balanced" or None, default=None
    Weight of each class, as in scikit-learn.
early_stopping : bool, default=False
    Hold out part of the source rows, stop when their loss no longer falls, and keep the
    best weights.
validation_fraction : float, default=0.1
    Share of the source rows to hold out, by class; in (0, 1).
n_iter_no_change : int, default=10
    Epochs without improvement before stopping.
warm_start : bool, default=False
    Go on from the weights of the previous fit, which must have had the same classes,
    instead of starting anew.
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
    One entry per epoch: losses, duration.
n_iter_ : int
    Epochs trained.
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
