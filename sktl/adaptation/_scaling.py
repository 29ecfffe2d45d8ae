"""Mean and variance normalisation of every domain."""

from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from .._domains import is_source
from ._spectra import BandTransformer, Spectra, as_given, moments, scale_and_shift

__all__ = ["DomainStandardScaler"]


class DomainStandardScaler(OneToOneFeatureMixin, BandTransformer):
    r"""Every domain gets mean 0 and variance 1 in each coefficient, by its own statistics.

    Of cepstra this is mean and variance normalisation per domain (CMVN) [1]_: a channel that is
    the same for all of a domain adds a constant to its cepstra, which the mean takes away. Each
    value of `sample_domain` is a domain of its own, a speaker for instance. No labels are read.

    Parameters
    ----------
    with_mean : bool, default=True
        Whether means are taken away.
    with_std : bool, default=True
        Whether deviations are divided by; coefficients that do not vary are left.

    Attributes
    ----------
    domains_ : ndarray of int of shape (n_domains,)
        Values of `sample_domain` seen in fit, in ascending order.
    mean_, scale_ : ndarray of shape (n_domains, n_bands)
        Statistics of each domain.
    n_bands_ : int
        Number of coefficients seen in fit.
    n_features_in_ : int
        The same, where X was an array.
    feature_names_in_ : ndarray of str of shape (n_bands,)
        Names of the features, where X had some.

    See Also
    --------
    BandStatisticsTransformer : Gives the source the statistics of the target.

    Notes
    -----
    `X` is an array (n, n_coefficients) or (n, n_coefficients, n_frames), or a list or object array
    of (n_coefficients, n_frames); ragged rows come back as an object array. Rows without a domain
    are target rows. They, and rows of a domain that was not seen in fit, are scaled by the
    statistics of all target domains together, or of all source domains where they belong there.

    References
    ----------
    .. [1] Viikki and Laurila, "Cepstral domain segmental feature vector normalization for noise
       robust speech recognition", Speech Communication 25, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import DomainStandardScaler
    >>> X = np.array([[0.0], [2.0], [50.0], [70.0]])
    >>> DomainStandardScaler().fit_transform(X, sample_domain=[1, 1, -1, -1]).ravel()
    array([-1.,  1., -1.,  1.])
    """

    _parameter_constraints: dict[str, Any] = {"with_mean": ["boolean"], "with_std": ["boolean"]}

    def __init__(self, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _fit(self, rows: Spectra, domain: np.ndarray) -> None:
        self.domains_ = np.unique(domain)
        found = [moments(rows, domain == number) for number in self.domains_]
        self.mean_, self.scale_ = (np.stack(each) for each in zip(*found, strict=True))
        source = is_source(domain)
        self._source_moments = moments(rows, source)
        self._target_moments = moments(rows, source if source.all() else ~source)

    def _map(self, rows: Spectra, domain: np.ndarray | None) -> np.ndarray:
        if domain is None:
            return as_given(self._scale(rows, np.ones(len(rows), bool), *self._target_moments))
        for number in np.unique(domain):
            place = np.flatnonzero(self.domains_ == number)
            if len(place):
                found = self.mean_[place[0]], self.scale_[place[0]]
            else:
                found = self._source_moments if number >= 0 else self._target_moments
            rows = self._scale(rows, domain == number, *found)
        return as_given(rows)

    def _scale(self, rows: Spectra, mask: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Spectra:
        scale = 1 / np.where(std > 0, std, 1.0) if self.with_std else np.ones_like(std)
        shift = -mean * scale if self.with_mean else np.zeros_like(mean)
        return scale_and_shift(rows, mask, scale, shift)
