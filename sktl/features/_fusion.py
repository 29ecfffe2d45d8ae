"""Several features of the same clips, side by side."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin, clone
from sklearn.pipeline import FeatureUnion
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import _BaseComposition

from .._validation import (
    StrOptions,
    _check_sample_weight,
    _fit_context,
    check_is_fitted,
)
from ._blocks import check_blocks, check_rates, fit_block, run_blocks, transform_block
from ._lpc import LPC
from ._mfcc import MFCC
from ._scaling import apply_scaling, learn_scaling, to_numpy

__all__ = ["FeatureFusion"]


class FeatureFusion(TransformerMixin, _BaseComposition):
    """Rows of several features, each block scaled, side by side.

    Blocks such as `MFCC`, `LPC` and `sktl.embedding.PretrainedEmbedding` have numbers of
    very different sizes, of which a distance would see the largest only. Every block is
    fitted on the same clips, its columns are scaled by what the training rows say, and the
    blocks are concatenated.

    Parameters
    ----------
    transformers : list of (str, transformer), default=None
        Named blocks. Each transformer gives one row per clip and is cloned before it is
        fitted; "drop" leaves a block out, "passthrough" takes the rows of a 2-D X as they
        are. None means ``[("mfcc", MFCC()), ("lpc", LPC())]``.
    scale : {"standard", "block"} or None, default="standard"
        With "standard", every column gets zero mean and unit variance. With "block", every
        column is centred, and each block is divided by one number so that the variances of
        its columns sum to 1: blocks weigh the same, however many columns they have.
    weights : dict of str to float, default=None
        Factors of blocks by name, after scaling; 1 for those not named.
    n_jobs : int, default=None
        Threads that compute blocks at the same time; None means 1, -1 all processors.

    Attributes
    ----------
    transformers_ : list of (str, transformer)
        The fitted blocks, without those dropped.
    mean_ : ndarray of shape (n_columns,)
        What is subtracted from each column; zeros with ``scale=None``.
    factors_ : ndarray of shape (n_columns,)
        What each column is multiplied by then, the weight of its block included.
    n_features_in_ : int
        Samples per clip seen in `fit`; only for 2-D arrays.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`; only for data frames with string column names.

    See Also
    --------
    MFCC, LPC : The default blocks.
    sklearn.pipeline.FeatureUnion : Concatenates without scaling.

    Notes
    -----
    Files are decoded once for every block, at the `sr` of that block. Clips given as arrays
    have one rate, so that blocks must agree in theirs.

    Rows of NaN, from files that cannot be read and ``on_error="nan"``, stay NaN and do not
    enter the statistics. A column that is constant in training is centred but not divided.

    Without metadata routing, ``<block>__<name>=value`` hands a value to a block's `fit` or
    `transform`; with it, blocks get what they request, such as `sample_domain`.

    Examples
    --------
    Cepstral and prediction coefficients of six recordings, as rows of one length. Every
    column has zero mean and unit variance, so that both blocks count. The second block
    counts half when it is told to.

    >>> from sktl import LPC, MFCC, FeatureFusion
    >>> from sktl.datasets import load_voices
    >>> clips, digits, sample_domain = load_voices(return_X_y=True)
    >>> fusion = FeatureFusion([("mfcc", MFCC()), ("lpc", LPC(order=8))])
    >>> rows = fusion.fit_transform(clips[:6])
    >>> rows.shape
    (6, 56)
    >>> bool(abs(rows.std(axis=0) - 1).max() < 1e-5)
    True
    >>> fusion.get_feature_names_out()[[0, -1]]
    array(['mfcc__mfcc_00_mean', 'lpc__lpc_08_std'], dtype=object)
    >>> quieter = fusion.set_params(weights={"lpc": 0.5}).fit_transform(clips[:6])
    >>> float((quieter / rows)[0, -1])
    0.5
    """

    _parameter_constraints: dict = {
        "transformers": [list, None],
        "scale": [StrOptions({"standard", "block"}), None],
        "weights": [dict, None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        transformers: list[tuple[str, Any]] | None = None,
        *,
        scale: Literal["standard", "block"] | None = "standard",
        weights: dict[str, float] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.transformers = transformers
        self.scale = scale
        self.weights = weights
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> Self:
        """Fit every block and learn how to scale its columns.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            Whatever the blocks take: clips as one array or as a sequence, or paths of files.
        y : array-like, default=None
            Passed to the blocks.
        sample_weight : array-like of shape (n_clips,), default=None
            Weights of the rows in means and variances.
        **params : object
            Metadata for the blocks.

        Returns
        -------
        self : FeatureFusion
        """
        self._fit("fit", X, y, sample_weight, params)
        return self

    def fit_transform(
        self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any
    ) -> np.ndarray:
        """Fit and return the scaled rows, computing every block once.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        **params : object
            Metadata for the blocks.

        Returns
        -------
        ndarray of shape (n_clips, n_columns)
        """
        return self._join(self._fit("fit_transform", X, y, sample_weight, params))

    def transform(self, X: Any, **params: Any) -> np.ndarray:
        """Concatenate the scaled rows of every block.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            As in `fit`.
        **params : object
            Metadata for the blocks.

        Returns
        -------
        ndarray of shape (n_clips, n_columns)
            A tensor where all blocks give tensors.
        """
        check_is_fitted(self)
        routed = self._route("transform", [name for name, _ in self.transformers_], params)
        check_rates(self.transformers_, X)
        calls = [(name, block, X, routed.get(name, {})) for name, block in self.transformers_]
        return self._join(run_blocks(transform_block, calls, self.n_jobs))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns: block, two underscores, the block's own name.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Passed to the blocks.

        Returns
        -------
        ndarray of str objects
            Columns of a block that has no names are numbered.
        """
        check_is_fitted(self)
        names: list[str] = []
        for (name, block), width in zip(self.transformers_, self._widths, strict=True):
            columns: Iterable = range(width)
            if hasattr(block, "get_feature_names_out"):
                columns = block.get_feature_names_out(input_features)
            names += [f"{name}__{column}" for column in columns]
        return np.array(names, dtype=object)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator and, as ``<block>__<name>``, of its blocks.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the blocks and their parameters.

        Returns
        -------
        dict of str to object
        """
        return self._get_params("_blocks", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator or of its blocks.

        Parameters
        ----------
        **params : object
            As `get_params` names them; the name of a block alone replaces it.

        Returns
        -------
        self : FeatureFusion
        """
        if "transformers" in params:
            self.transformers = params.pop("transformers")
        if self.transformers is None and params.keys() - self.get_params(deep=False).keys():
            self.transformers = self._blocks
        self._set_params("transformers", **params)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata goes to which block.

        Returns
        -------
        MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, block in self._blocks:
            if isinstance(block, str):
                continue
            mapping = MethodMapping().add(caller="transform", callee="transform")
            both = hasattr(block, "fit_transform")
            for callee in ["fit_transform"] if both else ["fit", "transform"]:
                mapping.add(caller="fit", callee=callee)
                mapping.add(caller="fit_transform", callee=callee)
            router.add(method_mapping=mapping, **{name: block})
        return router

    @property
    def n_features_in_(self) -> int:
        return self._of_a_block("n_features_in_")

    @property
    def feature_names_in_(self) -> np.ndarray:
        return self._of_a_block("feature_names_in_")

    @property
    def _blocks(self) -> Any:
        default = [("mfcc", MFCC()), ("lpc", LPC())]
        return default if self.transformers is None else self.transformers

    @_fit_context(prefer_skip_nested_validation=False)
    def _fit(self, caller: str, X: Any, y: Any, sample_weight: Any, params: dict) -> list[Any]:
        blocks = check_blocks(self._blocks)
        self._validate_names([name for name, _ in self._blocks])
        weights = self._check_weights()
        check_rates(blocks.items(), X)
        if sample_weight is not None and get_config()["enable_metadata_routing"]:
            params = {**params, "sample_weight": sample_weight}
        routed = self._route(caller, list(blocks), params)
        calls = [(name, clone(b), X, y, routed.get(name, {})) for name, b in blocks.items()]
        fitted = run_blocks(fit_block, calls, self.n_jobs)
        rows = [values for _, values in fitted]
        self.transformers_ = list(zip(blocks, [block for block, _ in fitted], strict=True))
        self._widths = [values.shape[1] for values in rows]
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, to_numpy(rows[0]))
        learned = [learn_scaling(to_numpy(values), self.scale, sample_weight) for values in rows]
        self.mean_ = np.concatenate([mean for mean, _ in learned])
        self.factors_ = np.concatenate(
            [weights.get(name, 1.0) * f for name, (_, f) in zip(blocks, learned, strict=True)]
        )
        return rows

    def _join(self, rows: list[Any]) -> Any:
        """Scaled blocks side by side."""
        lengths = {name: len(v) for (name, _), v in zip(self.transformers_, rows, strict=True)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the blocks give different numbers of rows: {lengths}.")
        if not all(isinstance(values, torch.Tensor) for values in rows):
            rows = [to_numpy(values) for values in rows]
        bounds = np.cumsum(self._widths)[:-1]
        parts = zip(np.split(self.mean_, bounds), np.split(self.factors_, bounds), strict=True)
        scaled = [apply_scaling(v, *part) for v, part in zip(rows, parts, strict=True)]
        if isinstance(scaled[0], torch.Tensor):
            return torch.cat(scaled, dim=1)
        return np.concatenate(scaled, axis=1)

    def _check_weights(self) -> dict[str, float]:
        names = [name for name, _ in self._blocks]
        for name, weight in (self.weights or {}).items():
            if name not in names:
                raise ValueError(f"weights names a block {name!r} but the blocks are {names}.")
            if not isinstance(weight, Real) or not np.isfinite(float(weight)):
                raise ValueError(f"weights[{name!r}]={weight!r} is not a finite number.")
        return self.weights or {}

    def _route(self, caller: str, names: list[str], params: dict[str, Any]) -> Any:
        """What each method of each block is given: ``routed[name][method]``."""
        if get_config()["enable_metadata_routing"] and params:
            return process_routing(self, caller, **params)
        methods = ("fit", "fit_transform") if caller != "transform" else ("transform",)
        given: dict[str, dict] = {name: {} for name in names}
        for key, value in params.items():
            name, _, own = key.partition("__")
            if name not in given or not own:
                raise ValueError(
                    f"{caller} was given {key!r}, which is for no block; write "
                    f"{names[0]}__{key} to hand it to block '{names[0]}', or enable "
                    "scikit-learn's metadata routing."
                )
            given[name][own] = value
        return {name: dict.fromkeys(methods, values) for name, values in given.items()}

    def _of_a_block(self, attribute: str) -> Any:
        for _, block in vars(self).get("transformers_", []):
            if hasattr(block, attribute):
                return getattr(block, attribute)
        raise AttributeError(f"{type(self).__name__} has no {attribute}, as its blocks have none.")

    def _sk_visual_block_(self) -> Any:
        return FeatureUnion(list(self._blocks))._sk_visual_block_()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        pairs = (pair for pair in self._blocks if isinstance(pair, tuple | list))
        blocks = [get_tags(p[-1]) for p in pairs if hasattr(p[-1], "__sklearn_tags__")]
        tags.input_tags.allow_nan = all(b.input_tags.allow_nan for b in blocks)
        tags.input_tags.positive_only = any(b.input_tags.positive_only for b in blocks)
        tags.target_tags.required = any(b.target_tags.required for b in blocks)
        tags.non_deterministic = any(b.non_deterministic for b in blocks)
        dtypes = [set(b.transformer_tags.preserves_dtype) for b in blocks if b.transformer_tags]
        tags.transformer_tags.preserves_dtype = sorted(set.intersection(*dtypes)) if dtypes else []
        return tags
