"""Spectrograms and other features of the frames of one clip, drawn over time."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import clone

from .._drawing import axes_of, check_axes
from .._validation import Interval, StrOptions, check_sr, validate_params
from ..features import LPC, MFCC, MelSpectrogram
from ._axes import (
    coefficient_edges,
    label_rows,
    linear_edges,
    mel_edges,
    scale_rows,
    time_edges,
)
from ._input import check_spectrogram, one_clip, to_db

__all__ = ["SpectrogramDisplay"]

LEVEL = "Level (dB)"
VALUE = "Value"


class SpectrogramDisplay:
    """Spectrogram of one clip: time in seconds, frequency in Hz, level as colour.

    Make one with :meth:`from_transformer` or :meth:`from_array`; both draw it at once. The
    parameters below are stored as attributes, and :meth:`plot` draws them again.

    Parameters
    ----------
    spectrogram : ndarray of shape (n_bands, n_frames)
        What is drawn; values that are not finite are left blank.
    time_edges : ndarray of shape (n_frames + 1,)
        Limits of the frames in seconds. Frame t reaches from ``time_edges[t]`` to
        ``time_edges[t + 1]``, and its time is the middle.
    band_edges : ndarray of shape (n_bands + 1,)
        Limits of the bands: in Hz, or -0.5, 0.5, 1.5, … for coefficients.
    y_axis : {"mel", "linear", "coefficients"}, default="mel"
        Frequency on a mel scale, frequency on a linear scale, or numbered rows.
    htk : bool, default=False
        Whether the mel scale is HTK's instead of Slaney's.
    names : sequence of str of length n_bands, default=None
        Names of the rows, for coefficients; None numbers them from 0.
    value_label : str, default="Level (dB)"
        Label of the colour bar.

    Attributes
    ----------
    im_ : matplotlib QuadMesh
        The picture.
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Figure that holds `ax_`.
    colorbar_ : matplotlib Colorbar or None
        None with ``colorbar=False``.

    See Also
    --------
    sktl.features.MelSpectrogram : Log-mel spectrograms of clips.
    sktl.features.MFCC : Cepstral coefficients of clips.
    sktl.features.LPC : Linear prediction coefficients of clips.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sktl import MelSpectrogram
    >>> from sktl.plotting import SpectrogramDisplay
    >>> clip = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> display = SpectrogramDisplay.from_transformer(MelSpectrogram(), clip)
    >>> display.spectrogram.shape
    (64, 101)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('Time (s)', 'Frequency (Hz)')
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        spectrogram: np.ndarray,
        time_edges: np.ndarray,
        band_edges: np.ndarray,
        y_axis: Literal["mel", "linear", "coefficients"] = "mel",
        htk: bool = False,
        names: Sequence[str] | None = None,
        value_label: str = LEVEL,
    ) -> None:
        self.spectrogram = spectrogram
        self.time_edges = time_edges
        self.band_edges = band_edges
        self.y_axis = y_axis
        self.htk = htk
        self.names = names
        self.value_label = value_label

    @classmethod
    def from_transformer(
        cls, transformer: Any, clip: Any, *, ax: Any = None, **kwargs: Any
    ) -> "SpectrogramDisplay":
        """Compute the features of one clip and draw them.

        Parameters
        ----------
        transformer : MelSpectrogram, MFCC or LPC
            Fitted or not, and left as it is. Its `pooling` is disregarded: the frames are
            drawn. A mel spectrogram gets an axis in Hz; coefficients, and mel bands followed
            by their deltas, one of names.
        clip : array-like of shape (n_samples,), str or PathLike
            Waveform at the `sr` of `transformer`, as an array or tensor; or the path of an
            audio file.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SpectrogramDisplay

        Raises
        ------
        TypeError
            If `transformer` gives no frames, or `ax` is not matplotlib Axes.
        ValueError
            If `clip` is not one clip, or is refused by `transformer`.
        AudioReadError
            If the file is missing or cannot be decoded.

        Notes
        -----
        With ``center=True`` the time of frame t is ``t * hop_length / sr``. Otherwise it is
        that of the frame's middle, ``(t * hop_length + n_fft // 2) / sr``, so that a sound lies
        at the same place in both pictures; LPC has `frame_length` for `n_fft`.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sktl import MFCC
        >>> from sktl.plotting import SpectrogramDisplay
        >>> clip = np.sin(np.arange(16000) / 5)
        >>> display = SpectrogramDisplay.from_transformer(MFCC(n_mfcc=13), clip, cmap="viridis")
        >>> display.names[:2]
        ['mfcc_00', 'mfcc_01']
        >>> plt.close(display.figure_)
        """
        _check_drawing(ax, **kwargs)
        _check_transformer(transformer)
        frames = _framewise(transformer)
        values = np.asarray(frames.transform([one_clip(clip)])[0])
        n_rows, n_frames = values.shape
        frame_length = frames.frame_length if isinstance(frames, LPC) else frames.n_fft
        times = time_edges(n_frames, frames.sr, frames.hop_length, frames.center, frame_length)
        if isinstance(frames, MelSpectrogram) and n_rows == frames.n_mels:
            display = cls(
                spectrogram=values,
                time_edges=times,
                band_edges=mel_edges(n_rows, frames.sr, frames.fmin, frames.fmax, frames.htk),
                htk=frames.htk,
                value_label=_level_label(frames.normalize),
            )
        else:
            display = cls(
                spectrogram=values,
                time_edges=times,
                band_edges=coefficient_edges(n_rows),
                y_axis="coefficients",
                names=_row_names(frames),
                value_label=VALUE,
            )
        return display.plot(ax, **kwargs)

    @classmethod
    @validate_params(
        {
            "hop_length": [Interval(Integral, 1, None, closed="left")],
            "n_fft": [Interval(Integral, 1, None, closed="left"), None],
            "center": ["boolean"],
            "y_axis": [StrOptions({"mel", "linear", "coefficients"})],
            "fmin": [Interval(Real, 0, None, closed="left")],
            "fmax": [Interval(Real, 0, None, closed="neither"), None],
            "htk": ["boolean"],
            "unit": [StrOptions({"dB", "power", "amplitude"}), None],
        },
        prefer_skip_nested_validation=True,
    )
    def from_array(
        cls,
        S: Any,
        *,
        sr: float = 16000,
        hop_length: int = 160,
        n_fft: int | None = None,
        center: bool = True,
        y_axis: Literal["mel", "linear", "coefficients"] = "mel",
        fmin: float = 0.0,
        fmax: float | None = None,
        htk: bool = False,
        unit: Literal["dB", "power", "amplitude"] | None = "dB",
        names: Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> "SpectrogramDisplay":
        """Draw a spectrogram or other features of frames that are there already.

        Parameters
        ----------
        S : array-like of shape (n_bands, n_frames)
            Numpy array or tensor, lowest band first.
        sr : float, default=16000
            Sample rate in Hz of the clip.
        hop_length : int, default=160
            Samples from one frame to the next.
        n_fft : int, default=None
            Length of a frame in samples. None means ``2 * (n_bands - 1)`` for
            ``y_axis="linear"``; the others need it only with ``center=False``.
        center : bool, default=True
            Whether frame t is centred at sample ``t * hop_length`` rather than beginning there.
        y_axis : {"mel", "linear", "coefficients"}, default="mel"
            What the rows are: mel bands between `fmin` and `fmax`, the bins of an FFT from
            0 Hz on, or numbered coefficients.
        fmin : float, default=0.0
            Lowest frequency of the mel bands in Hz.
        fmax : float, default=None
            Highest frequency of the mel bands in Hz; None means ``sr / 2``.
        htk : bool, default=False
            Whether the mel scale is HTK's instead of Slaney's.
        unit : {"dB", "power", "amplitude"} or None, default="dB"
            What `S` holds. Power and amplitude are converted as by ``librosa.power_to_db`` and
            ``librosa.amplitude_to_db``: at least 1e-10 in power, and at most 80 dB below the
            loudest. None draws other values as they are; so are all coefficients.
        names : sequence of str of length n_bands, default=None
            Names of the coefficients; None numbers them from 0.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SpectrogramDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        ValueError
            If `S` is not one spectrogram of real numbers, some of them finite, or does not
            fit the other parameters.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sktl.plotting import SpectrogramDisplay
        >>> power = np.random.default_rng(0).uniform(size=(257, 101))
        >>> display = SpectrogramDisplay.from_array(power, y_axis="linear", unit="power")
        >>> display.band_edges[[0, 1, -1]].tolist()
        [0.0, 15.625, 8000.0]
        >>> plt.close(display.figure_)
        """
        _check_drawing(ax, **kwargs)
        check_sr(sr)
        values = check_spectrogram(S)
        n_bands, n_frames = values.shape
        if names is not None and len(names) != n_bands:
            raise ValueError(f"names has {len(names)} elements but S has {n_bands} rows.")
        if y_axis == "mel":
            edges = mel_edges(n_bands, sr, fmin, fmax, htk)
        elif y_axis == "linear":
            if n_fft is None and n_bands == 1:
                raise ValueError("S has 1 row; an FFT gives 2 at least, or give its n_fft.")
            n_fft = 2 * (n_bands - 1) if n_fft is None else n_fft
            edges = linear_edges(n_bands, sr, n_fft)
        else:
            edges, unit = coefficient_edges(n_bands), None
        display = cls(
            spectrogram=to_db(values, unit),
            time_edges=time_edges(n_frames, sr, hop_length, center, n_fft),
            band_edges=edges,
            y_axis=y_axis,
            htk=htk,
            names=None if names is None else [str(name) for name in names],
            value_label=VALUE if unit is None else LEVEL,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self, ax: Any = None, *, cmap: Any = "magma", colorbar: bool = True, **kwargs: Any
    ) -> Self:
        """Draw the spectrogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or matplotlib Colormap, default="magma"
            Colours, from the smallest value to the largest.
        colorbar : bool, default=True
            Whether to draw a colour bar beside the axes.
        **kwargs
            Passed to ``ax.pcolormesh``, such as `vmin` and `vmax` in dB.

        Returns
        -------
        self : SpectrogramDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        ValueError
            If ``shading`` is not for cells.
        """
        _check_drawing(ax, **kwargs)
        ax = axes_of(ax, type(self).__name__)
        scale_rows(ax, self.y_axis, self.htk)
        options = {"cmap": cmap, "shading": "flat", "rasterized": True, **kwargs}
        self.im_ = ax.pcolormesh(self.time_edges, self.band_edges, self.spectrogram, **options)
        label_rows(ax, self.y_axis, self.band_edges, self.names)
        ax.set_xlabel("Time (s)")
        self.ax_, self.figure_ = ax, ax.figure
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(self.im_, ax=ax, label=self.value_label)
        return self


def _check_drawing(ax: Any, shading: str = "flat", **_: Any) -> None:
    """See that matplotlib is there and can draw cells on `ax`."""
    check_axes(ax, "SpectrogramDisplay")
    if shading not in ("flat", "auto"):
        raise ValueError(
            f"shading={shading!r} needs the middles of cells, but their edges are drawn; leave it "
            "out or give 'flat'."
        )


def _check_transformer(transformer: Any) -> None:
    if isinstance(transformer, MelSpectrogram | MFCC | LPC):
        return
    if isinstance(transformer, type):
        raise TypeError(
            f"transformer is the class {transformer.__name__}; give an instance, "
            f"{transformer.__name__}()."
        )
    raise TypeError(
        f"{type(transformer).__name__} gives no frames of a clip; give MelSpectrogram, MFCC or "
        "LPC, or draw an array (n_bands, n_frames) with SpectrogramDisplay.from_array."
    )


def _framewise(transformer: Any) -> Any:
    """Clone that keeps the frames, as numpy, and says why a file cannot be read."""
    return clone(transformer).set_params(pooling=None, output="numpy", on_error="raise")


def _level_label(normalize: str | None) -> str:
    if normalize is None:
        return LEVEL
    return "PCEN" if normalize == "pcen" else "Normalized level"


def _row_names(frames: Any) -> list[str]:
    """Names of the rows, from those that their means would have."""
    pooled = clone(frames).set_params(pooling="mean").get_feature_names_out()
    return [name.removesuffix("_mean") for name in pooled]
