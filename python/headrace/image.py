"""Operations on images, for `Dataset.map`: declared here, done in C++ threads.

>>> import headrace as hr
>>> hr.image.decode("rgb") | hr.image.resize(256) | hr.image.center_crop(224)
decode("rgb") | resize(256) | center_crop(224)
"""

import json
import math
import numbers
from collections.abc import Iterable
from typing import Any, Literal

from . import _native, _validate

__all__ = [
    "Ops",
    "center_crop",
    "color_jitter",
    "decode",
    "flip",
    "layout",
    "pad_to",
    "random_crop",
    "random_resized_crop",
    "resize",
    "to_float",
]


class Ops:
    """Operations, one after the other; `|` puts more after them.

    Made by the functions of this module. Immutable: compares, hashes, prints and pickles.

    Examples
    --------
    >>> import headrace as hr
    >>> ops = hr.image.random_resized_crop(224) | hr.image.flip()
    >>> ops == hr.image.Ops.from_json(ops.to_json())
    True
    """

    __slots__ = ("_json",)

    def __init__(self) -> None:
        self._json = "[]"

    @classmethod
    def from_json(cls, text: str) -> "Ops":
        """Read what `to_json` gave.

        Parameters
        ----------
        text : str
            A JSON list of objects, as in ``[{"op": "resize", "height": 256}]``; parameters
            that are not there have their defaults.

        Returns
        -------
        Ops
            The operations.

        Raises
        ------
        InvalidArgument
            An operation or a parameter is not known, missing, of a wrong type or out of its
            range.
        """
        made = cls()
        made._json = _native.complete_image_ops(_validate.text("text", text))
        return made

    def to_json(self) -> str:
        """Write the operations as a JSON list, with every parameter.

        Returns
        -------
        str
            What `from_json` reads.
        """
        return self._json

    def __or__(self, other: "Ops") -> "Ops":
        if not isinstance(other, Ops):
            return NotImplemented
        return Ops.from_json(json.dumps(json.loads(self._json) + json.loads(other._json)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ops) and self._json == other._json

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return _native.image_ops_text(self._json)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Ops.from_json, (self._json,)


def decode(
    mode: Literal["stored", "gray", "rgb", "rgba"] | None = None,
    *,
    pixels_max: int | None = None,
    dct_scaling: bool | None = None,
) -> Ops:
    """Decode JPEG, PNG or WebP, whichever a value is; EXIF orientation is honoured.

    It stands first, and is implied: as "rgb" for a binary column, by its shape for a field.

    Parameters
    ----------
    mode : {"rgb", "gray", "rgba", "stored"}, optional
        Channels: 3, 1 (ITU-R 601 luma), 4, or as many as the image has (1, 3 or 4, and a
        batch of both is one of unequal shapes). "rgb" if not given.
    pixels_max : int, optional
        Images that claim more pixels are bad rows; 178,956,970 if not given.
    dct_scaling : bool, optional
        Decode JPEGs at 1/2, 1/4 or 1/8 of their size where the next operation reduces them
        to no more than that; True if not given.

    Returns
    -------
    Ops
        The operation: (height, width, channels) uint8.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.decode("gray")
    decode("gray")
    """
    return _op("decode", mode=mode, pixels_max=pixels_max, dct_scaling=dct_scaling)


def resize(
    height: int,
    width: int | None = None,
    *,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
) -> Ops:
    """Resize, antialiased: Pillow's filters, within one level.

    Parameters
    ----------
    height, width : int
        Pixels. With one number, the shorter side becomes it, and the other keeps the ratio
        (rounded down), as in torchvision.
    interpolation : {"bilinear", "bicubic"}, optional
        The kernel; "bilinear" if not given.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.resize(224, 224, interpolation="bicubic")
    resize(224, 224, interpolation="bicubic")
    """
    return _op("resize", height=height, width=width, interpolation=interpolation)


def center_crop(height: int, width: int | None = None) -> Ops:
    """Cut out the middle; around a smaller image, zeros are put first.

    Parameters
    ----------
    height, width : int
        Pixels; with one number, a square.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.center_crop(224)
    center_crop(224)
    """
    return _op("center_crop", height=height, width=width)


def random_crop(height: int, width: int | None = None) -> Ops:
    """Cut out a part at a random place; a smaller image is a bad row.

    Parameters
    ----------
    height, width : int
        Pixels; with one number, a square.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Notes
    -----
    Random numbers are a function of (seed, epoch, row id).

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.pad_to(32) | hr.image.random_crop(28)  # random shifts of 28 x 28
    pad_to(32) | random_crop(28)
    """
    return _op("random_crop", height=height, width=width)


def random_resized_crop(
    height: int,
    width: int | None = None,
    *,
    scale: tuple[float, float] | None = None,
    ratio: tuple[float, float] | None = None,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
) -> Ops:
    """Cut out a random share of the area, and resize it.

    Parameters
    ----------
    height, width : int
        Pixels of the result; with one number, a square.
    scale : (float, float), optional
        Least and greatest share of the area; (0.08, 1.0) if not given.
    ratio : (float, float), optional
        Least and greatest width over height; (3/4, 4/3) if not given.
    interpolation : {"bilinear", "bicubic"}, optional
        The kernel; "bilinear" if not given.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Notes
    -----
    Random numbers are a function of (seed, epoch, row id).

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.random_resized_crop(224, scale=(0.25, 1))
    random_resized_crop(224, scale=(0.25, 1.0))
    """
    return _op(
        "random_resized_crop",
        height=height,
        width=width,
        scale=scale,
        ratio=ratio,
        interpolation=interpolation,
    )


def flip(horizontal: float | None = None, vertical: float | None = None) -> Ops:
    """Mirror at random.

    Parameters
    ----------
    horizontal, vertical : float, optional
        Probabilities of swapping left and right, 0.5 if not given, and top and bottom, 0 if
        not given.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Notes
    -----
    Random numbers are a function of (seed, epoch, row id).

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.flip()
    flip()
    """
    return _op("flip", horizontal=horizontal, vertical=vertical)


def color_jitter(
    brightness: float | None = None,
    contrast: float | None = None,
    saturation: float | None = None,
    hue: float | None = None,
) -> Ops:
    """Change colours at random, in random order.

    Parameters
    ----------
    brightness, contrast, saturation : float, optional
        Factors are drawn from [max(0, 1 - x), 1 + x]; 0 if not given.
    hue : float, optional
        Turns of the colour circle are drawn from [-hue, hue], at most 0.5; 0 if not given.

    Returns
    -------
    Ops
        The operation. Gray images have neither saturation nor hue; alpha stays.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Notes
    -----
    Random numbers are a function of (seed, epoch, row id).

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.color_jitter(0.4, 0.4)
    color_jitter(brightness=0.4, contrast=0.4)
    """
    return _op(
        "color_jitter",
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
    )


def pad_to(height: int, width: int | None = None, *, value: int | None = None) -> Ops:
    """Put a border around the image, which stays in the middle; a larger one is a bad row.

    Parameters
    ----------
    height, width : int
        Pixels of the result; with one number, a square.
    value : int, optional
        0 to 255, of every channel; 0 if not given.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.pad_to(512, 512, value=127)
    pad_to(512, 512, value=127)
    """
    return _op("pad_to", height=height, width=width, value=value)


def to_float(
    mean: float | Iterable[float] | None = None,
    std: float | Iterable[float] | None = None,
) -> Ops:
    """Make float32 of the levels: ``(x / 255 - mean) / std``. At the end of a chain.

    Parameters
    ----------
    mean, std : float or list of float, optional
        One for all channels, or one for each; 0 and 1 if not given.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        A parameter is of a wrong type or out of its range.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.to_float(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    to_float(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    """
    return _op("to_float", mean=mean, std=std)


def layout(order: Literal["nchw", "nhwc"]) -> Ops:
    """Say the order of the dimensions. At the end of a chain.

    Parameters
    ----------
    order : {"nchw", "nhwc"}
        (batch, channels, height, width), or (batch, height, width, channels), which it is
        without this operation.

    Returns
    -------
    Ops
        The operation.

    Raises
    ------
    InvalidArgument
        The order is none of these.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.image.to_float() | hr.image.layout("nchw")
    to_float() | layout("nchw")
    """
    return _op("layout", order=order)


def native_maps(columns: dict[str, Any]) -> dict[str, str]:
    """Return the JSON by column; InvalidArgument names the column."""
    native: dict[str, str] = {}
    for name, ops in columns.items():
        if not isinstance(ops, Ops):
            expected = "operations of headrace.image, as in headrace.image.resize(224)"
            raise _validate.rejected(f"map of {name!r}", ops, expected)
        native[name] = ops.to_json()
    return native


def _op(name: str, **parameters: Any) -> Ops:
    """Return an operation of the parameters that are given; C++ has the defaults."""
    given = {
        key: _plain(f"{name}'s {key}", value)
        for key, value in parameters.items()
        if value is not None
    }
    return Ops.from_json(json.dumps([{"op": name, **given}]))


def _plain(parameter: str, value: Any) -> Any:
    """Return what JSON can hold; numpy's numbers and arrays are taken."""
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise _validate.rejected(parameter, value, "a finite number")
        return float(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_plain(parameter, one) for one in value]
    raise _validate.rejected(parameter, value, "a number, a list of them or a word")
