"""What a fitted network classifier says of rows."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor

from .._domains import check_allowed, check_sample_domain, known_accuracy
from .._validation import check_is_fitted
from ..backbones import Backbone, Units
from ..embedding._rows import Rows, check_rows
from ._build import Plan
from ._net import TransferNet
from ._prefix import prefix_units

__all__ = ["NetworkPredictor"]


class NetworkPredictor(ClassifierMixin, BaseEstimator):
    """Base class of network classifiers: what they do once they are fitted."""

    __metadata_request__predict = {"sample_domain": True, "allow_source": True}
    __metadata_request__predict_proba = {"sample_domain": True, "allow_source": True}
    __metadata_request__predict_log_proba = {"sample_domain": True, "allow_source": True}
    __metadata_request__decision_function = {"sample_domain": True, "allow_source": True}
    __metadata_request__score = {"sample_domain": True, "allow_source": True}

    net_: TransferNet
    backbone_: Backbone
    classes_: Any
    _plan: Plan
    memory: Any
    n_jobs: int | None

    def _check_rows(self, X: Any) -> Rows:
        check_is_fitted(self, "net_")
        spec = self.backbone_.input_spec
        rows = check_rows(self, X, spec, reset=False, n_jobs=self.n_jobs)
        shape = self._plan.row_shape
        if isinstance(rows, np.ndarray) and rows.shape[1:] != shape:
            raise ValueError(
                f"X has rows of shape {rows.shape[1:]}, but {type(self).__name__} was fitted "
                f"with rows of shape {shape}."
            )
        return rows

    def _infer(self, X: Any, sample_domain: Any, allow_source: bool) -> tuple[Tensor, Tensor]:
        """Embedding and logits of every row, on the CPU."""
        rows = self._check_rows(X)
        check_allowed(check_sample_domain(sample_domain, len(rows)), sample_domain, allow_source)
        module = self.net_.module_
        depth = module.frozen_depth if self.memory is not None else 0
        parts = prefix_units(module, rows, depth, self.memory)
        outputs = [self._infer_units(units, depth) for units in parts]
        embedding, logits = (torch.cat(part) for part in zip(*outputs, strict=True))
        return embedding, logits

    def _infer_units(self, units: Units, depth: int) -> tuple[Tensor, Tensor]:
        dtype = self.net_.autocast
        with torch.autocast(units.values.device.type, dtype, enabled=dtype is not None):
            embedding, logits = self.net_.module_.infer(units, depth)
        return embedding.to(self._plan.dtype).cpu(), logits.to(self._plan.dtype).cpu()

    def decision_function(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Logits; for two classes, that of the second minus that of the first.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Scores.
        """
        logits = self._infer(X, sample_domain, allow_source)[1].numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_log_proba(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Logarithm of the class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in `classes_`.
        """
        return self._infer(X, sample_domain, allow_source)[1].log_softmax(1).numpy()

    def predict_proba(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in `classes_`.
        """
        return self._infer(X, sample_domain, allow_source)[1].softmax(1).numpy()

    def predict(self, X: Any, sample_domain: Any = None, allow_source: bool = True) -> np.ndarray:
        """Most probable class of every row.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        logits = self._infer(X, sample_domain, allow_source)[1]
        return self.classes_[logits.argmax(1).numpy()]

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        sample_domain: Any = None,
        allow_source: bool = True,
    ) -> float:
        """Accuracy over the rows whose label is known.

        A target row whose label is none of `classes_` is masked and does not count.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n,)
            True labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; without them no row is masked.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        predicted = self.predict(X, sample_domain, allow_source)
        return known_accuracy(predicted, y, sample_weight, sample_domain, self.classes_)
