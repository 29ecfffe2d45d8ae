"""Embeddings of a pretrained network as a scikit-learn transformer."""

from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if

from .._random import integer_seed, torch_seed
from .._validation import (
    StrOptions,
    _check_feature_names_in,
    _fit_context,
    check_is_fitted,
    resolve_device,
)
from ..backbones import Backbone, InputSpec, fingerprint
from ._batches import BatchSizes
from ._cache import open_store
from ._frames import Frames, row_frames, stack_frames
from ._fusion import FUSIONS, Fusion, LayerFusion, check_labels, check_widths, learn_fusion
from ._layers import (
    POOLINGS,
    LayerPooling,
    Pooling,
    check_layers,
    name_of,
    names_several,
    prefix_of,
    span_of_units,
)
from ._precision import autocast_dtype
from ._progress import Progress
from ._rows import Rows, check_rows, iter_units
from ._shared import FittedNetwork, Source

__all__ = ["PretrainedEmbedding"]


def _row_shape(X: Any) -> tuple[int, ...] | None:
    """Shape of one row of an array, or None for anything else (lists of clips, say)."""
    shape = np.shape(X) if isinstance(X, np.ndarray | torch.Tensor) else getattr(X, "shape", None)
    return tuple(shape[1:]) if shape is not None and len(shape) > 1 else None


def _runs_apart(body: Backbone, device: torch.device) -> bool:
    """Whether several threads may run the network, which is faster than several in each operation.

    Of a user's own module nobody knows.
    """
    return body.made_from is not None and device.type == "cpu"


def _has_columns(embedding: "PretrainedEmbedding") -> bool:
    return embedding.pooling is not None


class PretrainedEmbedding(TransformerMixin, BaseEstimator):
    """Map every clip to the embedding of a pretrained network.

    A clip longer than the network's input is cut into patches, whose embeddings are
    averaged. A row's embedding does not depend on the rows it is computed with, but for rounding
    in the networks that take clips of several lengths side by side, or where several threads share
    an operation. On a CPU as many threads as torch has (``torch.get_num_threads()``) run the
    network, each on rows of its own.

    Parameters
    ----------
    backbone : str, path-like, Module, callable or estimator, default="speech-mini"
        Name of a network (see :func:`sktl.backbones.available_backbones`), "hf:" and the name or
        folder of a network of Hugging Face, "torchvision:" and the name of an image network,
        "hear:" and the name of a module with the interface of the HEAR benchmark, a file that
        :func:`sktl.backbones.save_backbone` wrote, the user's own module or zero-argument
        factory, or a fitted network estimator of this package.
    weights : {"pretrained"}, path-like or None, default="pretrained"
        Published weights, a file of weights, or None for random ones.
    layers : "last", "all", int or list of int, default="last"
        What makes the embedding: that of the network; or the output of blocks, counted as in
        Python, several of them as `fusion` says. Middle layers can know more of a task than the
        last one (Niizumi et al., "Composing general audio representation by fusing multilayer
        features of a pre-trained model", EUSIPCO 2022).
    fusion : {"concat", "mean", "weighted"}, default="concat"
        How several layers become one row. Each column of each layer gets mean 0 and deviation 1
        on the rows of `fit`; then layers stand side by side, or those of one width are averaged,
        or added with weights that sum to one and are learned from labels (the weighted sum of
        Yang et al., "SUPERB: speech processing universal performance benchmark", Interspeech
        2021). Of a single layer, nothing is learned and nothing changed.
    pooling : {"mean", "max", "mean_max", "mean_std"} or None, default="mean"
        Over time: over all frames of all patches of a clip. None keeps the frames, in order of
        time; a frame of a layer that has fewer of them than another is repeated.
    local : bool, default=False
        Of the output of blocks, keep channels at each frequency, instead of their mean over
        frequencies (Niizumi et al., 2022).
    output : {"rows", "frames"}, default="rows"
        With ``pooling=None``, "frames" gives each clip's frames with their times, as a
        :class:`~sktl.embedding.Frames`.
    memory : path-like, joblib.Memory or ":memory:", default=None
        Folder where embeddings of single rows are kept and found again. ":memory:" keeps them in
        this process, all estimators together at most 2 GiB (or as many as the environment
        variable ``SKTL_MEMORY_GIB`` says), those used last; see
        :func:`~sktl.embedding.clear_memory`.
    on_error : {"raise", "nan"}, default="raise"
        What to do with a file that cannot be read: raise an error that names every such
        file, or return a row of NaN and warn once.
    device : str or torch.device, default="auto"
        Where to compute; "auto" takes a CUDA device if there is one.
    precision : {"auto", "32", "bf16"}, default="auto"
        Precision of the network; "auto" takes bf16 on a GPU that has it.
    n_jobs : int, default=None
        Threads that read files ahead of the network.
    verbose : int, default=0
        1 shows a progress bar on stderr.
    random_state : int, RandomState instance or None, default=None
        Seed of the random weights when ``weights=None``.

    Attributes
    ----------
    backbone_ : Backbone
        The network.
    layer_weights_ : ndarray of shape (n_layers,)
        Of the layers in their sum, with ``fusion="weighted"`` of several layers.
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

    __metadata_request__fit = {"sample_domain": True}

    _parameter_constraints = {
        "backbone": "no_validation",
        "weights": "no_validation",
        "layers": "no_validation",
        "fusion": [StrOptions(set(FUSIONS))],
        "pooling": [StrOptions(set(POOLINGS)), None],
        "local": ["boolean"],
        "output": [StrOptions({"rows", "frames"})],
        "memory": "no_validation",
        "on_error": [StrOptions({"raise", "nan"})],
        "device": "no_validation",
        "precision": [StrOptions({"auto", "32", "bf16"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        backbone: Any = "speech-mini",
        *,
        weights: Any = "pretrained",
        layers: Any = "last",
        fusion: Fusion = "concat",
        pooling: Pooling | None = "mean",
        local: bool = False,
        output: Literal["rows", "frames"] = "rows",
        memory: Any = None,
        on_error: Literal["raise", "nan"] = "raise",
        device: Any = "auto",
        precision: Literal["auto", "32", "bf16"] = "auto",
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layers = layers
        self.fusion = fusion
        self.pooling = pooling
        self.local = local
        self.output = output
        self.memory = memory
        self.on_error = on_error
        self.device = device
        self.precision = precision
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_domain: Any = None) -> Self:
        """Load the network and check X; of several layers, learn their statistics.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips or paths
            Clips at the network's sample rate, values in [-1, 1], or audio files.
        y : array-like of shape (n_clips,), default=None
            Classes, for the weights of ``fusion="weighted"`` alone.
        sample_domain : array-like of int of shape (n_clips,), default=None
            0 and above for source rows, below 0 for target rows, whose labels are not read.

        Returns
        -------
        self : PretrainedEmbedding
            The fitted transformer.
        """
        rows, labels = self._load(X, y, sample_domain)
        if self._n_layers > 1:
            self._learn(self._embed(rows), labels)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None, sample_domain: Any = None) -> np.ndarray:
        """Fit and embed every row of X, which runs the network once.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips or paths
            As in `fit`.
        y : array-like of shape (n_clips,), default=None
            As in `fit`.
        sample_domain : array-like of int of shape (n_clips,), default=None
            As in `fit`.

        Returns
        -------
        ndarray
            As `transform` gives it.
        """
        rows, labels = self._load(X, y, sample_domain)
        parts = self._embed(rows)
        if self._n_layers > 1:
            kept = list(parts)
            self._learn(kept, labels)
            parts = iter(kept)
        return self._finish(parts)

    def transform(self, X: Any) -> np.ndarray:
        """Embed every row of X.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips or paths
            Clips at the network's sample rate, values in [-1, 1], or audio files.

        Returns
        -------
        ndarray
            Embeddings (n_clips, n_columns), float32. With ``pooling=None``, frames: an array
            (n_clips, n_frames, n_features), or where clips differ in their number of frames an
            object array of n_clips arrays (n_frames_i, n_features); with ``output="frames"`` an
            object array of :class:`~sktl.embedding.Frames`.
        """
        check_is_fitted(self)
        return self._finish(self._embed(self._check(X, self.backbone_.input_spec, reset=False)))

    def _check(self, X: Any, spec: InputSpec, *, reset: bool) -> Rows:
        n_jobs, on_error = self.n_jobs, self.on_error
        return check_rows(self, X, spec, reset=reset, n_jobs=n_jobs, on_error=on_error)

    def _load(self, X: Any, y: Any, sample_domain: Any) -> tuple[Rows, np.ndarray | None]:
        """Make the network; check everything else before any long work."""
        device = resolve_device(self.device)
        open_store(self.memory, "")
        if self.output == "frames" and self.pooling is not None:
            raise ValueError(
                f"output='frames' gives the frames of every clip, but pooling={self.pooling!r} "
                "makes one row of them; give pooling=None."
            )
        source = Source(self.backbone, self.weights, _row_shape(X))
        with torch_seed(integer_seed(self.random_state), device):
            body = source.make()
        rows = self._check(X, body.input_spec, reset=True)
        name = name_of(self.backbone)
        layers = check_layers(self.layers, len(body.blocks), name)
        if layers is not None and not body.cuttable:
            raise ValueError(
                f"layers={self.layers!r}, but the layers of {name} are not known: "
                f"{body.uncut_reason}."
            )
        self._network = FittedNetwork(body, source)
        self._batches = BatchSizes()
        self._statistics = LayerPooling(layers, self.pooling, self.local)
        self._widths = self._statistics.widths(body, source.row_shape)
        self._fusion: LayerFusion | None = None
        self.__dict__.pop("layer_weights_", None)
        if self.pooling is None:
            self._span = span_of_units(body, source.row_shape, name, self.output == "frames")
        labels = None
        if layers is not None and len(layers) > 1:
            check_widths(self.fusion, layers, self._widths, name)
            if self.fusion == "weighted":
                labels = check_labels(y, sample_domain, len(rows))
        return rows, labels

    @property
    def backbone_(self) -> Backbone:
        """The network."""
        return self._network.body(resolve_device(self.device))

    @property
    def _n_layers(self) -> int:
        return len(self._widths)

    def _embed(self, rows: Rows) -> Iterator[list[Any]]:
        """Rows of all layers, a chunk at a time: arrays, or with ``pooling=None`` frames."""
        device, dtype, statistics = resolve_device(self.device), torch.float32, self._statistics
        body = self._network.on(device)
        autocast = autocast_dtype(self.precision, device, dtype)

        def embed(values: Any) -> torch.Tensor:
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                return statistics.unit_statistics(body, values)

        store = None
        if self.memory is not None:
            context = f"embedding {statistics} {autocast or dtype} {fingerprint(body)}"
            store = open_store(self.memory, context)
        with Progress(len(rows), self.verbose) as progress:
            for units in iter_units(
                rows,
                body,
                embed,
                device=device,
                dtype=dtype,
                store=store,
                batches=self._batches.on(device),
                progress=progress,
                mixed=body.masks_padding and statistics.pooling is not None,
                n_threads=torch.get_num_threads() if _runs_apart(body, device) else 1,
            ):
                if statistics.pooling is None:
                    yield row_frames(units, self._span)
                else:
                    yield list(statistics.rows(units, self._widths).float().cpu().numpy())

    def _learn(self, parts: Iterable[list[Any]], labels: np.ndarray | None) -> None:
        columns = [width * self._statistics.n_statistics for width in self._widths]
        missing = np.full((1, sum(columns)), np.nan)

        def frames_of(row: Any) -> np.ndarray:
            if isinstance(row, Frames):
                return row.values
            return missing if row is None else row[None]

        rows = (frames_of(row) for part in parts for row in part)
        self._fusion = learn_fusion(self.fusion, columns, rows, labels)
        if self.fusion == "weighted":
            self.layer_weights_ = self._fusion.weights

    def _finish(self, parts: Iterable[list[Any]]) -> np.ndarray:
        """All rows in one array, their layers fused."""
        fuse = self._fusion or (lambda values: values)
        if self._statistics.pooling is not None:
            return np.concatenate([fuse(np.stack(part)) for part in parts])
        rows = [
            None if row is None else Frames(row.times, fuse(row.values))
            for part in parts
            for row in part
        ]
        width = self._widths[0] if self.fusion != "concat" else sum(self._widths)
        return stack_frames(rows, width, self.output == "frames")

    @available_if(_has_columns)
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
        added = self._n_layers > 1 and self.fusion != "concat"
        names = self._statistics.names(prefix_of(self.backbone), self._widths, added)
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.target_tags.required = self.fusion == "weighted" and names_several(self.layers)
        return tags
