"""Feature augmentation: what all domains share beside what is their own."""

from typing import Any

import numpy as np

from .._domains import is_source
from .._validation import _check_feature_names_in, check_is_fitted
from ._base import DomainTransformer

__all__ = ["FeatureAugmentation"]


class FeatureAugmentation(DomainTransformer):
    r"""A copy of the features for all domains, and one for each.

    A row :math:`x` of domain k becomes :math:`(x, 0, \dots, x, \dots, 0)`, with its second copy in
    the place of its domain [1]_ (*frustratingly easy domain adaptation*, EasyAdapt). A linear
    classifier after it has weights that all domains share, and weights of each domain's own. It
    was meant for targets of which some labels are known.

    Each value of `sample_domain` is a domain of its own.

    Attributes
    ----------
    domains_ : ndarray of int of shape (n_domains,)
        Values of `sample_domain` seen in fit, in ascending order.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    Notes
    -----
    Rows without a domain are taken to come from the target, or from the one domain there is; where
    there are several of these, they have the shared copy alone. So have rows of a domain that was
    not seen in fit: all that is known of it is what domains share.

    References
    ----------
    .. [1] Daumé III, "Frustratingly easy domain adaptation", ACL 2007, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import FeatureAugmentation
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> FeatureAugmentation().fit_transform(X, sample_domain=[0, 0, -1])
    array([[1., 0., 1.],
           [2., 0., 2.],
           [3., 3., 0.]])
    """

    _parameter_constraints: dict[str, Any] = {}

    def _fit(self, rows: np.ndarray, domain: np.ndarray) -> None:
        self.domains_ = np.unique(domain)

    def _map(self, rows: np.ndarray, domain: np.ndarray | None) -> np.ndarray:
        if domain is None:
            targets = self.domains_[~is_source(self.domains_)]
            usual = targets if len(targets) else self.domains_
            domain = np.full(len(rows), usual[0]) if len(usual) == 1 else None
        copies = [rows]
        for number in self.domains_:
            own = np.zeros(len(rows), bool) if domain is None else domain == number
            copies.append(np.where(own[:, None], rows, np.zeros((), rows.dtype)))
        return np.concatenate(copies, axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features, then each with its domain.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features; None for those seen in fit, or "x0", "x1", ...

        Returns
        -------
        ndarray of str of shape (n_features * (n_domains + 1),)
            Such as "x0" and "x0_domain-1".
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        own = [f"{name}_domain{number}" for number in self.domains_ for name in names]
        return np.array([*names, *own], dtype=object)
