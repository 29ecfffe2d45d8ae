"""Splits of rows of several domains."""

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_consistent_length, column_or_1d

from .._domains import check_sample_domain, is_source
from .._random import integer_seed
from .._validation import _MetadataRequester, _num_samples

__all__ = ["DomainStratifiedKFold", "LeaveOneDomainOut"]

Split = tuple[np.ndarray, np.ndarray]


class _DomainSplitter(_MetadataRequester):
    __metadata_request__split = {"sample_domain": True, "groups": True}

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_"
        )
        return f"{type(self).__name__}({given})"


class DomainStratifiedKFold(_DomainSplitter):
    """K folds, each with its share of every domain, and of every class of the source.

    Training and test rows are of both domains: an estimator adapts to some target rows and is
    scored on others. Labels of target rows are never read.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 or above.
    shuffle : bool, default=False
        Whether rows are shuffled before they are dealt out.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.

    See Also
    --------
    LeaveOneDomainOut : Tests on a domain that was not trained on.

    Notes
    -----
    A search passes `sample_domain` and `groups` by metadata routing. Without it,
    ``cv=list(splitter.split(X, y, groups, sample_domain))`` gives the same splits to any of
    scikit-learn's tools.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.model_selection import DomainStratifiedKFold
    >>> y, sample_domain = [0, 0, 1, 1, -1, -1], [1, 1, 1, 1, -1, -1]
    >>> for train, test in DomainStratifiedKFold(2).split(np.zeros(6), y, None, sample_domain):
    ...     print(train, test)
    [1 3 5] [0 2 4]
    [0 2 4] [1 3 5]
    """

    n_splits: int
    shuffle: bool
    random_state: Any

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None
    ) -> None:
        if not isinstance(n_splits, Integral) or n_splits < 2:
            raise ValueError(f"n_splits={n_splits!r}; give a whole number of at least 2.")
        if not isinstance(shuffle, bool):
            raise TypeError(f"shuffle={shuffle!r}; give True or False.")
        if random_state is not None and not shuffle:
            raise ValueError(
                f"random_state={random_state!r} has no effect without shuffle=True; give that too."
            )
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: Any, y: Any = None, groups: Any = None, sample_domain: Any = None
    ) -> Iterator[Split]:
        """Generate training and test rows.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows; only their number is looked at.
        y : array-like of shape (n,), default=None
            Labels, read for source rows; without them only domains are dealt out evenly.
        groups : array-like of shape (n,), default=None
            Rows of one group, a speaker or a recording for instance, stay on one side.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, below 0 for target rows; without it all are source rows.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If a domain has fewer rows, or there are fewer groups, than folds.
        """
        n = _num_samples(X)
        domain = check_sample_domain(sample_domain, n)
        strata = self._strata(y, domain)
        seed = integer_seed(self.random_state) if self.shuffle else None
        options = {"n_splits": int(self.n_splits), "shuffle": self.shuffle, "random_state": seed}
        places = np.zeros(n)
        with warnings.catch_warnings():
            # Told above, by class and domain.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            if groups is None:
                yield from StratifiedKFold(**options).split(places, strata)
                return
            groups = column_or_1d(groups)
            check_consistent_length(places, groups)
            if len(np.unique(groups)) < self.n_splits:
                raise ValueError(
                    f"n_splits={self.n_splits} but groups holds {len(np.unique(groups))} groups; "
                    "give fewer folds."
                )
            yield from StratifiedGroupKFold(**options).split(places, strata, groups)

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, sample_domain: Any = None
    ) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups, sample_domain : object
            Not used.

        Returns
        -------
        int
        """
        return int(self.n_splits)

    def _strata(self, y: Any, domain: np.ndarray) -> np.ndarray:
        """Number of each row's domain and, in the source, class."""
        source = is_source(domain)
        classes = np.zeros(len(domain), int)
        if y is not None:
            y = column_or_1d(y)
            check_consistent_length(domain, y)
            classes[source] = np.unique(y[source], return_inverse=True)[1]
        found, strata = np.unique(np.stack([domain, classes]), axis=1, return_inverse=True)
        counts = np.bincount(strata.ravel())
        for number in np.unique(domain):
            n_rows = int((domain == number).sum())
            if n_rows < self.n_splits:
                raise ValueError(
                    f"n_splits={self.n_splits} but sample_domain marks {n_rows} rows with "
                    f"{number}; give fewer folds, so that every one has rows of each domain."
                )
        rare = counts.argmin()
        if counts[rare] < self.n_splits:
            label = "" if y is None else np.unique(y[source]).tolist()[found[1, rare]]
            warnings.warn(
                f"class {label!r} has {counts[rare]} rows in domain {found[0, rare]}, fewer than "
                f"n_splits={self.n_splits}; some folds are without it.",
                UserWarning,
                stacklevel=4,
            )
        return np.asarray(strata).ravel()


class LeaveOneDomainOut(_DomainSplitter):
    """Each source domain in turn is the test set; the rest, and all target rows, train.

    Tells how a method does on a domain whose labels it has not seen: speakers, microphones or
    rooms as domains. Target rows are never tested on, as their labels are not known.

    See Also
    --------
    DomainStratifiedKFold : Folds of all domains.
    sklearn.model_selection.LeaveOneGroupOut : The same for groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.model_selection import LeaveOneDomainOut
    >>> sample_domain = [0, 0, 1, -1]
    >>> for train, test in LeaveOneDomainOut().split(np.zeros(4), sample_domain=sample_domain):
    ...     print(train, test)
    [2 3] [0 1]
    [0 1 3] [2]
    """

    def split(
        self, X: Any, y: Any = None, groups: Any = None, sample_domain: Any = None
    ) -> Iterator[Split]:
        """Generate training and test rows.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows; only their number is looked at.
        y : object, default=None
            Not used.
        groups : array-like of shape (n,), default=None
            Rows of groups that the test set has are left out of training, the same speaker in
            another room for instance.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, each value a domain of its own; below 0 for target rows.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If there are fewer than two source domains, or groups leave nothing to train on.
        """
        n = _num_samples(X)
        domain = check_sample_domain(sample_domain, n)
        self._check(domain)
        source = is_source(domain)
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(domain, groups)
        of_source = np.flatnonzero(source)
        for _, out in LeaveOneGroupOut().split(of_source, groups=domain[of_source]):
            test = of_source[out]
            kept = np.ones(n, bool)
            kept[test] = False
            if groups is not None:
                kept &= ~np.isin(groups, groups[test])
            if not (kept & source).any():
                raise ValueError(
                    f"groups: all source rows share a group with domain {domain[test[0]]}; nothing "
                    "is left to train on."
                )
            yield np.flatnonzero(kept), test

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, sample_domain: Any = None
    ) -> int:
        """Return the number of source domains.

        Parameters
        ----------
        X, y, groups : object
            Not used.
        sample_domain : array-like of int of shape (n,)
            Domains.

        Returns
        -------
        int
        """
        if sample_domain is None:
            raise ValueError("sample_domain is None; give the domains, whose number this is.")
        domain = check_sample_domain(sample_domain, _num_samples(sample_domain))
        self._check(domain)
        return len(np.unique(domain[is_source(domain)]))

    def _check(self, domain: np.ndarray) -> None:
        found = np.unique(domain[is_source(domain)])
        if len(found) < 2:
            raise ValueError(
                f"sample_domain holds {len(found)} source domains; LeaveOneDomainOut needs two or "
                "more, each with its own number of 0 or above."
            )
