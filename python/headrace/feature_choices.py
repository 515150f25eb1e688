"""What a dataset learns of its columns, and how that is applied: part of `Dataset`."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import pyarrow as pa

from . import _native, _validate
from .choice import Choice
from .errors import InvalidArgument, NotFound
from .features import Features, NumericFeature, VocabularyFeature, standardization
from .policies import native_codes
from .progress import shown

__all__ = ["FeatureChoices"]


class FeatureChoices(Choice):
    """The methods of a `Dataset` that find features and apply them.

    Thread-safety: immutable.
    """

    def fit_features(
        self,
        *columns: str,
        num_threads: int | None = None,
        vocabulary_max: int | None = None,
    ) -> Features:
        """Find mean, standard deviation, extremes or vocabulary of columns, in one pass.

        Parameters
        ----------
        *columns : str
            Selected columns; all of them if none is named.
        num_threads : int, optional
            Threads that read; 8 if not given.
        vocabulary_max : int, optional
            Distinct values that a vocabulary may have; a million if not given.

        Returns
        -------
        Features
            Of the rows that pass the filter, with `cast` applied; for `standardize`,
            `codes` and `one_hot`, and for serving.

        Raises
        ------
        InvalidArgument
            A column is named twice, or a value cannot be cast.
        NotFound
            A column is not selected.
        ResourceExhausted
            A vocabulary is too large; the message names the column.
        Unsupported
            A column is neither of numbers (decimals need a cast) nor of strings or bytes.
        Corrupt, Unavailable, Denied, Conflict
            What had to be read could not be, or has changed.

        Notes
        -----
        Fit the split that is trained on, so that nothing of the others leaks. The result is
        the same for any number of threads.

        Examples
        --------
        >>> features = train.fit_features("distance", "carrier")  # doctest: +SKIP
        >>> features.save("features.json")  # doctest: +SKIP
        """
        named = _validate.names("columns", columns)
        threads = vocabulary = None
        if num_threads is not None:
            threads = _validate.integer("num_threads", num_threads, 1, 2**31 - 1)
        if vocabulary_max is not None:
            vocabulary = _validate.integer("vocabulary_max", vocabulary_max, 1)
        with shown("fitting features") as progress:
            return Features(
                _native.Features.fit(self._native, named, threads, vocabulary, progress)
            )

    def standardize(
        self,
        features: Features | Mapping[str, tuple[float, float]],
        columns: Iterable[str] | None = None,
    ) -> Self:
        """Turn numbers x into (x - mean) / std, shape (batch,), float32.

        Parameters
        ----------
        features : Features or dict of str to (mean, std)
            What `fit_features` found, or numbers by column.
        columns : list of str, optional
            Columns of the features; all selected ones of numbers if not given.

        Returns
        -------
        Dataset
            With these columns standardized; others stay.

        Raises
        ------
        InvalidArgument
            A column is not of numbers, or mean or std are none. A `cast` to an integer type
            raises it when a loader is made.
        NotFound
            A column is not there, or has no feature.

        Notes
        -----
        Computed in float64 and rounded once: to float32, or to the floating type that the
        column is cast to. Where std is 0, x - mean. Nulls: `headrace.fill` gives a value in
        the column's own units, and "mask" 0 after standardizing. Loaders apply it;
        `to_arrow` does not.

        Examples
        --------
        >>> train.standardize(features, ["distance"])  # doctest: +SKIP
        >>> train.standardize({"distance": (1043.5, 733.1)})  # doctest: +SKIP
        """
        by: dict[str, tuple[float, float]] = {}
        if isinstance(features, Features):
            for name in self._featured(features, columns, NumericFeature):
                found = features[name]
                assert isinstance(found, NumericFeature)
                by[name] = standardization(name, found)
        else:
            _no_columns(columns)
            expected = "Features, or a dict of column to (mean, std)"
            for name, pair in _validate.mapping("features", features, expected).items():
                by[name] = _pair(f"features[{name!r}]", pair)
        return self._with(self._native.standardize(by))

    def codes(
        self,
        vocabularies: Features | Mapping[str, Iterable[str | bytes] | None],
        columns: Iterable[str] | None = None,
    ) -> Self:
        """Turn strings or bytes into int32 codes, shape (batch,).

        Parameters
        ----------
        vocabularies : Features, or dict of str to list or None
            By column the vocabulary, whose indices are the codes. None: the sorted
            distinct values (bytewise) of the version, which a scan of the column finds.
            Features: what `fit_features` found.
        columns : list of str, optional
            Columns of the features; all selected ones with a vocabulary if not given.

        Returns
        -------
        Dataset
            With codes in place of the text.

        Raises
        ------
        InvalidArgument
            A column is not of strings or bytes, or a vocabulary has a value twice. A value
            outside of the vocabulary raises it when it is met.
        NotFound
            A column is not there, or has no feature.

        Examples
        --------
        >>> flights.codes({"carrier": ["AA", "DL", "UA"]})  # doctest: +SKIP
        """
        by = self._vocabularies(vocabularies, columns)
        return self._with(self._native.codes(by))

    def one_hot(
        self,
        vocabularies: Features | Mapping[str, Iterable[str | bytes] | None],
        columns: Iterable[str] | None = None,
    ) -> Self:
        """Turn strings or bytes into one-hot float32, shape (batch, vocabulary).

        Parameters
        ----------
        vocabularies : Features, or dict of str to list or None
            By column the vocabulary, as `codes` takes it: 1 at the code, else 0.
        columns : list of str, optional
            Columns of the features; all selected ones with a vocabulary if not given.

        Returns
        -------
        Dataset
            With tensors in place of the text.

        Raises
        ------
        InvalidArgument
            A column is not of strings or bytes, has codes already, or a vocabulary has a
            value twice. A value outside of the vocabulary raises it when it is met.
        NotFound
            A column is not there, or has no feature.

        Notes
        -----
        Nulls: `headrace.fill` gives a value of the vocabulary, and "mask" zeros.

        Examples
        --------
        >>> flights.one_hot({"origin": ["EWR", "JFK", "LGA"]})  # doctest: +SKIP
        """
        by = self._vocabularies(vocabularies, columns)
        return self._with(self._native.one_hot(by))

    def _vocabularies(
        self, given: Any, columns: Iterable[str] | None
    ) -> dict[str, list[str | bytes] | None]:
        """Return the vocabulary by column."""
        if not isinstance(given, Features):
            _no_columns(columns)
            return native_codes(given)
        by: dict[str, list[str | bytes] | None] = {}
        for name in self._featured(given, columns, VocabularyFeature):
            found = given[name]
            assert isinstance(found, VocabularyFeature)
            by[name] = list(found.values)
        return by

    def _featured(
        self,
        features: Features,
        columns: Iterable[str] | None,
        kind: type[NumericFeature] | type[VocabularyFeature],
    ) -> list[str]:
        """Return the columns whose features are to be applied."""
        if columns is None:
            selected = set(pa.schema(self._native).names)
            return [
                n for n, one in features.items() if n in selected and type(one) is kind
            ]
        wanted = _validate.names("columns", columns)
        for name in wanted:
            if name not in features:
                raise NotFound(
                    f'column "{name}" has no feature: the features are of '
                    f"{', '.join(features)}"
                )
            if type(features[name]) is not kind:
                what = "statistics" if kind is NumericFeature else "a vocabulary"
                raise InvalidArgument(
                    f'column "{name}" has a {type(features[name]).__name__}: expected a '
                    f"column with {what}"
                )
        return wanted


def _no_columns(columns: object) -> None:
    if columns is not None:
        raise _validate.rejected("columns", columns, "None, as a dict names its columns")


def _pair(parameter: str, pair: Any) -> tuple[float, float]:
    """Return mean and standard deviation."""
    expected = "(mean, std), two numbers"
    try:
        mean, std = pair
        return float(mean), float(std)
    except (TypeError, ValueError):
        raise _validate.rejected(parameter, pair, expected) from None
