"""The one place that touches scikit-learn's private checks, and checks shared by folders."""

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import cpu_count, effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _MetadataRequester
from sklearn.utils._param_validation import (
    HasMethods,
    Hidden,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils.validation import (
    _check_feature_names,
    _check_feature_names_in,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    _num_samples,
    check_array,
    check_is_fitted,
    validate_data,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "HasMethods",
    "Hidden",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "_MetadataRequester",
    "_check_feature_names",
    "_check_feature_names_in",
    "_check_n_features",
    "_check_sample_weight",
    "_check_y",
    "_fit_context",
    "_num_samples",
    "_safe_indexing",
    "check_array",
    "check_is_fitted",
    "check_sr",
    "count_threads",
    "resolve_device",
    "validate_data",
    "validate_params",
]


def check_sr(sr: Any) -> float:
    """Return `sr` when it can be a sample rate in Hz, else say what one looks like."""
    if isinstance(sr, bool) or not isinstance(sr, Real) or not np.isfinite(float(sr)):
        raise ValueError(
            f"sr={sr!r} is not a sample rate; give the rate of the clips in Hz, e.g. sr=16000."
        )
    if sr <= 0:
        raise ValueError(f"sr={sr!r} is not positive; give a rate in Hz, e.g. sr=16000.")
    if sr < 100:
        raise ValueError(
            f"sr={sr!r} Hz is too low for audio; rates are in Hz, not kHz: "
            f"did you mean sr={round(float(sr) * 1000)}?"
        )
    if float(sr) > 1_000_000:
        raise ValueError(
            f"sr={sr!r} Hz is beyond any recording; give the rate in Hz, e.g. sr=16000."
        )
    return sr  # type: ignore[return-value]


def count_threads(n_jobs: Any) -> int:
    """Return how many threads `n_jobs` asks for, or say what it may be."""
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(
            f"n_jobs={n_jobs!r} is no number of threads; give 1 or more, -1 for all processors, "
            "or None for one."
        )
    if n_jobs is None:
        configured = get_active_backend()[1]
        # Of a cluster, joblib counts the processors of all machines.
        most = 1 if configured is None else count_threads(configured)
        return max(1, min(most, effective_n_jobs(None)))
    # Not joblib's count of explicit numbers, which is for processes and has limits of theirs.
    count = int(n_jobs)
    return count if count > 0 else max(1, cpu_count() + 1 + count)


def resolve_device(device: "str | torch.device") -> "torch.device":
    """Turn `device` ("auto", "cpu", "cuda", "cuda:1", …) into a device that is there."""
    import torch

    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not a device; give 'auto', 'cpu', 'cuda' or 'cuda:<index>'."
        ) from error
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} but torch sees {torch.cuda.device_count()} CUDA devices; "
            "give device='auto' or 'cpu'."
        )
    if resolved.type not in ("cpu", "cuda", "meta"):
        try:
            torch.empty(0, device=resolved)
        except (RuntimeError, AssertionError, ImportError) as error:
            reason = str(error).partition("\n")[0].partition(". ")[0]
            raise ValueError(
                f"device={device!r} cannot be used here ({reason}); give device='auto' or 'cpu'."
            ) from error
    return resolved
