"""Embeddings of a pretrained network as a scikit-learn transformer."""

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin

from .._random import integer_seed, torch_seed
from .._validation import (
    StrOptions,
    _check_feature_names_in,
    _fit_context,
    check_is_fitted,
    resolve_device,
)
from ..backbones import fingerprint, make_backbone
from ._cache import open_store
from ._layers import POOLINGS, LayerPooling, Pooling, check_layers, name_of
from ._rows import check_rows, iter_units

__all__ = ["PretrainedEmbedding", "row_shape"]


def row_shape(X: Any) -> tuple[int, ...] | None:
    """Shape of one row of an array, or None for anything else (lists of clips, say)."""
    shape = np.shape(X) if isinstance(X, np.ndarray | torch.Tensor) else getattr(X, "shape", None)
    return tuple(shape[1:]) if shape is not None and len(shape) > 1 else None


class PretrainedEmbedding(TransformerMixin, BaseEstimator):
    """Map every clip to the embedding of a pretrained network.

    A clip longer than the network's input is cut into patches, whose embeddings are
    averaged. A row's embedding does not depend on the rows it is computed with.

    Parameters
    ----------
    backbone : str, path-like, Module, callable or estimator, default="speech-mini"
        Name of a network (see :func:`sktl.backbones.available_backbones`), "hear:" and the name
        of a module with the interface of the HEAR benchmark, a file that
        :func:`sktl.backbones.save_backbone` wrote, the user's own module or zero-argument
        factory, or a fitted network estimator of this package.
    weights : {"pretrained"}, path-like or None, default="pretrained"
        Published weights, a file of weights, or None for random ones.
    layers : "last", "all", int or list of int, default="last"
        What makes the embedding: that of the network; or the output of blocks, counted as in
        Python, one after the other. Middle layers can know more of a task than the last one
        (Niizumi et al., "Composing general audio representation by fusing multilayer features
        of a pre-trained model", EUSIPCO 2022).
    pooling : {"mean", "max", "mean_max", "mean_std"}, default="mean"
        Over time: over all frames of all patches of a clip.
    local : bool, default=False
        Of the output of blocks, keep channels at each frequency, instead of their mean over
        frequencies (Niizumi et al., 2022).
    memory : path-like or joblib.Memory, default=None
        Folder where embeddings of single rows are kept and found again.
    on_error : {"raise", "nan"}, default="raise"
        What to do with a file that cannot be read: raise an error that names every such
        file, or return a row of NaN and warn once.
    device : str or torch.device, default="auto"
        Where to compute; "auto" takes a CUDA device if there is one.
    n_jobs : int, default=None
        Threads that read files ahead of the network.
    random_state : int, RandomState instance or None, default=None
        Seed of the random weights when ``weights=None``.

    Attributes
    ----------
    backbone_ : Backbone
        The network.
    n_features_in_ : int
        Number of samples of a clip; only when X was a 2-D array.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X, when all of them are strings.

    See Also
    --------
    sktl.classifiers.FineTunedClassifier : Trains the network as well.

    Examples
    --------
    >>> from sktl.datasets import load_voices
    >>> from sktl.embedding import PretrainedEmbedding
    >>> clips, digits, sample_domain = load_voices(return_X_y=True)
    >>> PretrainedEmbedding().fit_transform(clips[:3]).shape[0]
    3
    """

    _parameter_constraints = {
        "backbone": "no_validation",
        "weights": "no_validation",
        "layers": "no_validation",
        "pooling": [StrOptions(set(POOLINGS))],
        "local": ["boolean"],
        "memory": "no_validation",
        "on_error": [StrOptions({"raise", "nan"})],
        "device": "no_validation",
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        backbone: Any = "speech-mini",
        *,
        weights: Any = "pretrained",
        layers: Any = "last",
        pooling: Pooling = "mean",
        local: bool = False,
        memory: Any = None,
        on_error: Literal["raise", "nan"] = "raise",
        device: Any = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layers = layers
        self.pooling = pooling
        self.local = local
        self.memory = memory
        self.on_error = on_error
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the network and check X; nothing is learned from X.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips or paths
            Clips at the network's sample rate, values in [-1, 1], or audio files.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : PretrainedEmbedding
            The fitted transformer.
        """
        device = resolve_device(self.device)
        open_store(self.memory, "")
        with torch_seed(integer_seed(self.random_state), device):
            body = make_backbone(self.backbone, weights=self.weights, row_shape=row_shape(X))
        spec, n_jobs, on_error = body.input_spec, self.n_jobs, self.on_error
        check_rows(self, X, spec, reset=True, n_jobs=n_jobs, on_error=on_error)
        name = name_of(self.backbone)
        layers = check_layers(self.layers, len(body.blocks), name)
        if layers is not None and not body.cuttable:
            raise ValueError(
                f"layers={self.layers!r}, but the layers of {name} are not known: "
                f"{body.uncut_reason}."
            )
        self.backbone_ = body.requires_grad_(False).eval()
        self._statistics = LayerPooling(layers, self.pooling, self.local)
        self._widths = self._statistics.widths(body, row_shape(X))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed every row of X.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips or paths
            Clips at the network's sample rate, values in [-1, 1], or audio files.

        Returns
        -------
        ndarray of shape (n_clips, n_columns), float32
            One embedding per row.
        """
        check_is_fitted(self)
        body = self.backbone_
        rows = check_rows(
            self, X, body.input_spec, reset=False, n_jobs=self.n_jobs, on_error=self.on_error
        )
        device = resolve_device(self.device)
        body.to(device)

        statistics = self._statistics

        def embed(values: torch.Tensor) -> torch.Tensor:
            return statistics.unit_statistics(body, values)

        store = None
        if self.memory is not None:
            store = open_store(self.memory, f"embedding {statistics} {fingerprint(body)}")
        parts = [
            statistics.rows(units, self._widths).float().cpu().numpy()
            for units in iter_units(
                rows, body, embed, device=device, dtype=torch.float32, store=store
            )
        ]
        return np.concatenate(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns: network, block, statistic where there are two, number.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names seen in `fit`, otherwise ignored.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        names = self._statistics.names(name_of(self.backbone), self._widths)
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
