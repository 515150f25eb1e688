"""Features: what training learned of columns, to be applied alike in training and serving."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from . import _native, _validate
from .errors import InvalidArgument, NotFound

__all__ = ["Features", "NumericFeature", "VocabularyFeature"]


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """Statistics of a column of numbers; dates and times count as the integers stored.

    Parameters
    ----------
    count : int
        Values that the others are of: no nulls, no NaN.
    nulls, nans : int
        Nulls, and values that are NaN.
    mean, std : float or None
        Mean and standard deviation of the population (the root of the mean squared
        deviation). None where there is no such finite number: of no value, or of
        infinities.
    min, max : int, float or None
        Extremes; None if there is no value.
    """

    count: int
    nulls: int
    nans: int
    mean: float | None
    std: float | None
    min: int | float | None
    max: int | float | None


@dataclass(frozen=True, slots=True)
class VocabularyFeature:
    """The distinct values of a column of strings or bytes.

    Parameters
    ----------
    nulls : int
        Nulls, which are no values.
    values : tuple of str or bytes
        Sorted bytewise; the index is the code.
    counts : tuple of int
        How often each is there.
    """

    nulls: int
    values: tuple[str | bytes, ...] = field(repr=False)
    counts: tuple[int, ...] = field(repr=False)


class Features(Mapping[str, NumericFeature | VocabularyFeature]):
    """Statistics and vocabularies by column, as `Dataset.fit_features` finds them.

    A mapping of column to `NumericFeature` or `VocabularyFeature`, in the order asked for.
    `Dataset.standardize`, `codes` and `one_hot` apply it in loaders, `transform` to arrays
    at hand, to the same bits. It pickles, and goes to JSON (docs/format/features.md).

    Thread-safety: immutable.

    Examples
    --------
    >>> features = train.fit_features("distance", "carrier")  # doctest: +SKIP
    >>> features["distance"].mean  # doctest: +SKIP
    1043.5
    >>> features.save("features.json")  # doctest: +SKIP
    """

    def __init__(self, native: _native.Features) -> None:
        self._native = native
        document = json.loads(native.to_json())
        self._rows: int = document["rows"]
        self._columns = {one["name"]: _column(one) for one in document["features"]}

    @property
    def rows(self) -> int:
        """Rows that the features are of."""
        return self._rows

    def to_json(self) -> str:
        """Return the features as JSON.

        Returns
        -------
        str
            For `from_json` (docs/format/features.md).
        """
        return self._native.to_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` gave.

        Parameters
        ----------
        text : str
            JSON of this or an older format.

        Returns
        -------
        Features
            Equal to those that were written.

        Raises
        ------
        InvalidArgument
            It is no such JSON.
        Unsupported
            It is of a later format.
        """
        return cls(_native.Features.from_json(_validate.text("text", text)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the features to a local file, as JSON.

        Parameters
        ----------
        path : str or PathLike
            A file, which is replaced.
        """
        Path(_validate.path("path", path)).write_text(self.to_json() + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or PathLike
            A local file.

        Returns
        -------
        Features
            Equal to those that were written.

        Raises
        ------
        InvalidArgument
            The file holds no features.
        NotFound
            There is no such file.
        Unsupported
            It is of a later format.
        """
        file = Path(_validate.path("path", path))
        try:
            text = file.read_text("utf-8")
        except FileNotFoundError:
            raise NotFound(
                f"{file} is not there: expected what Features.save wrote"
            ) from None
        except UnicodeDecodeError:
            raise InvalidArgument(f"{file} is no text: expected JSON") from None
        return cls.from_json(text)

    def transform(
        self, values: Mapping[str, Any], *, one_hot: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Apply the features to arrays at hand, as when serving.

        Parameters
        ----------
        values : dict of str to array
            By column: numbers, as arrays or lists of any shape; text, as arrays or lists of
            str or bytes.
        one_hot : list of str
            Columns of text that become one-hot, not codes.

        Returns
        -------
        dict of str to numpy.ndarray
            In the order of `values`. Numbers: (x - mean) / std, float32. Text: int32 codes,
            or float32 one-hot with the vocabulary as last dimension. Columns without a
            feature stay as they are.

        Raises
        ------
        InvalidArgument
            Values are of a wrong type, or not in the vocabulary.
        NotFound
            `one_hot` names a column that has no values.

        Notes
        -----
        The results are bit for bit those of a loader whose dataset has
        `standardize(features)`, `codes(features)` and `one_hot(features)`. There are no
        nulls here: put something in their place before.

        Examples
        --------
        >>> request = {"distance": [733.0], "carrier": ["UA"]}
        >>> features.transform(request, one_hot=["carrier"])  # doctest: +SKIP
        """
        given = _validate.mapping("values", values, "a dict of column to array")
        hot = _validate.names("one_hot", one_hot)
        for name in hot:
            if name not in given:
                raise NotFound(f'one_hot names column "{name}", which is not in values')
            if not isinstance(self._columns.get(name), VocabularyFeature):
                raise InvalidArgument(
                    f'one_hot names column "{name}": expected one with a vocabulary'
                )
        made: dict[str, Any] = {}
        for name, column in given.items():
            feature = self._columns.get(name)
            if isinstance(feature, NumericFeature):
                made[name] = _standardized(name, column, standardization(name, feature))
            elif isinstance(feature, VocabularyFeature):
                codes = _codes(name, column, feature)
                width = len(feature.values)
                made[name] = _one_hot(codes, width) if name in hot else codes
            else:
                made[name] = column
        return made

    def __getitem__(self, name: str) -> NumericFeature | VocabularyFeature:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Features):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        return str(self._native)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Features.from_json, (self.to_json(),)


def standardization(name: str, feature: NumericFeature) -> tuple[float, float]:
    """Return mean and standard deviation; InvalidArgument if there are none."""
    if feature.mean is None or feature.std is None:
        found = f"min {feature.min}, max {feature.max}, {feature.count} values"
        raise InvalidArgument(
            f'column "{name}" cannot be standardized: its features have no finite mean and '
            f"standard deviation ({found}); filter infinities out before fit_features, or "
            "leave the column out"
        )
    return feature.mean, feature.std


def _column(one: dict[str, Any]) -> NumericFeature | VocabularyFeature:
    """Return a column's feature from its JSON."""
    if one["kind"] == "numeric":
        return NumericFeature(
            count=one["count"],
            nulls=one["nulls"],
            nans=one["nans"],
            mean=one["mean"],
            std=one["std"],
            min=_extreme(one["min"]),
            max=_extreme(one["max"]),
        )
    values = [_text(value, one["binary"]) for value in one["values"]]
    return VocabularyFeature(one["nulls"], tuple(values), tuple(one["counts"]))


def _extreme(value: Any) -> int | float | None:
    """Return a number, of which JSON has no infinities."""
    if isinstance(value, dict):
        return float(value["real"])
    number: int | float | None = value
    return number


def _text(value: Any, binary: bool) -> str | bytes:
    """Return a value of a vocabulary."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    text: str = value
    return text.encode() if binary else text


def _standardized(name: str, values: Any, by: tuple[float, float]) -> Any:
    """Return (x - mean) / std, computed in float64 and rounded once."""
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "biuf":
        raise InvalidArgument(
            f'column "{name}" has values of {numbers.dtype}: expected numbers, without '
            "None (dates and times as the integers that are stored)"
        )
    mean, std = by
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (numbers.astype(np.float64) - mean) / (std or 1.0)
        return scaled.astype(np.float32)


def _codes(name: str, values: Any, feature: VocabularyFeature) -> Any:
    """Return the places of values in a vocabulary."""
    places = {_bytes(value): code for code, value in enumerate(feature.values)}
    texts = np.asarray(values, dtype=object)
    codes = np.empty(texts.shape, dtype=np.int32)
    for at, value in np.ndenumerate(texts):
        if not isinstance(value, str | bytes):
            raise InvalidArgument(
                f'column "{name}" has the value {value!r}: expected str or bytes, without '
                "None"
            )
        code = places.get(_bytes(value))
        if code is None:
            raise InvalidArgument(
                f'column "{name}": {value!r} is not among the {len(places)} values of its '
                "vocabulary: put another value in its place"
            )
        codes[at] = code
    return codes


def _one_hot(codes: Any, width: int) -> Any:
    """Return 1 at each code, with the vocabulary as last dimension."""
    hot = np.zeros((*codes.shape, width), dtype=np.float32)
    np.put_along_axis(hot, codes[..., np.newaxis].astype(np.intp), 1, axis=-1)
    return hot


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
