"""Band-wise statistics matching."""

from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from .._domains import is_source
from .._validation import StrOptions
from ._spectra import BandTransformer, Spectra, as_given, moments, scale_and_shift

__all__ = ["BandStatisticsTransformer"]


class BandStatisticsTransformer(OneToOneFeatureMixin, BandTransformer):
    r"""Every frequency band of one domain gets the mean and deviation it has in the other.

    With :math:`\mu` and :math:`\sigma` of a band over all rows and frames of a domain, source rows
    become :math:`(x - \mu_S) \sigma_T / \sigma_S + \mu_T` [1]_: what microphones, codecs and rooms
    do to a log spectrum is, to a first approximation, a shift of every band. No labels are read.
    Several source domains are pooled into one, and so are several targets.

    Parameters
    ----------
    towards : {"target", "source"}, default="target"
        The domain whose rows stay as they are. "source" maps target rows instead, as the authors
        did: a classifier that was trained on the source need not be trained again.

    Attributes
    ----------
    source_mean_, source_std_ : ndarray of shape (n_bands,)
        Statistics of the source.
    target_mean_, target_std_ : ndarray of shape (n_bands,)
        Statistics of the target; where it had no rows, those of the source.
    n_bands_ : int
        Number of bands seen in fit.
    n_features_in_ : int
        The same, where X was an array.
    feature_names_in_ : ndarray of str of shape (n_bands,)
        Names of the features, where X had some.

    Notes
    -----
    `X` is an array (n, n_bands) or (n, n_bands, n_frames), or a list or object array of (n_bands,
    n_frames), such as :class:`~sktl.features.MelSpectrogram` makes of clips of any length; ragged
    rows come back as an object array. Levels should be logarithmic. Bands that do not vary in
    the domain to be mapped are only shifted.

    References
    ----------
    .. [1] Mezza, Habets, Müller and Sarti, "Unsupervised domain adaptation for acoustic scene
       classification using band-wise statistics matching", EUSIPCO 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import BandStatisticsTransformer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20, 4, 50))
    >>> X[10:] += np.array([0, -3, -10, -20])[:, None]  # another microphone
    >>> sample_domain = np.repeat([1, -1], 10)
    >>> matched = BandStatisticsTransformer().fit_transform(X, sample_domain=sample_domain)
    >>> np.allclose(matched[:10].mean(axis=(0, 2)), X[10:].mean(axis=(0, 2)))
    True
    """

    _parameter_constraints: dict[str, Any] = {"towards": [StrOptions({"target", "source"})]}

    def __init__(self, towards: str = "target") -> None:
        self.towards = towards

    def _fit(self, rows: Spectra, domain: np.ndarray) -> None:
        source = is_source(domain)
        self.source_mean_, self.source_std_ = moments(rows, source)
        other = source if source.all() else ~source
        self.target_mean_, self.target_std_ = moments(rows, other)

    def _map(self, rows: Spectra, domain: np.ndarray | None) -> np.ndarray:
        source = np.zeros(len(rows), bool) if domain is None else is_source(domain)
        mean, std = self.source_mean_, self.source_std_
        goal, goal_std = self.target_mean_, self.target_std_
        if self.towards == "source":
            source, mean, std, goal, goal_std = ~source, goal, goal_std, mean, std
        scale = np.where(std > 0, goal_std / np.where(std > 0, std, 1), 1.0)
        return as_given(scale_and_shift(rows, source, scale, goal - mean * scale))
