"""Filters that Spark pushes down, as filter text."""

import datetime
from typing import Any

from pyspark.sql import datasource

__all__ = ["filter_text"]


def filter_text(one: datasource.Filter) -> str | None:
    """Return a filter of Spark's as filter text; None where ours would mean something else.

    A filter that is pushed down is not evaluated by Spark again, so it has to keep exactly
    the rows that Spark would keep.
    """
    if isinstance(one, datasource.Not):
        inner = filter_text(one.child)
        return None if inner is None else f"not ({inner})"
    if isinstance(one, datasource.IsNull | datasource.IsNotNull):
        null = "is null" if isinstance(one, datasource.IsNull) else "is not null"
        return f"{_column(one.attribute)} {null}"
    if isinstance(one, datasource.In):
        values = [_literal(value) for value in one.value]
        if not values or any(value is None for value in values):
            return None
        return f"{_column(one.attribute)} in ({', '.join(map(str, values))})"
    if isinstance(one, _COMPARISONS):
        value = _literal(one.value)
        return None if value is None else f"{_column(one.attribute)} {_SIGNS[type(one)]} {value}"
    if isinstance(one, _TEXTS):
        pattern = _PATTERNS[type(one)].format(_escaped(one.value))
        return f"{_column(one.attribute)} like '{pattern}'"
    return None


_COMPARISONS = (
    datasource.EqualTo
    | datasource.GreaterThan
    | datasource.GreaterThanOrEqual
    | datasource.LessThan
    | datasource.LessThanOrEqual
)
_TEXTS = (
    datasource.StringStartsWith | datasource.StringEndsWith | datasource.StringContains
)
_SIGNS: dict[type[Any], str] = {
    datasource.EqualTo: "=",
    datasource.GreaterThan: ">",
    datasource.GreaterThanOrEqual: ">=",
    datasource.LessThan: "<",
    datasource.LessThanOrEqual: "<=",
}
_PATTERNS: dict[type[Any], str] = {
    datasource.StringStartsWith: "{}%",
    datasource.StringEndsWith: "%{}",
    datasource.StringContains: "%{}%",
}


def _column(path: tuple[str, ...]) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in path)


def _escaped(text: str) -> str:
    for sign in "\\%_":
        text = text.replace(sign, "\\" + sign)
    return text.replace("'", "''")


def _literal(value: Any) -> str | None:
    """Return a value as filter text; None if there is no literal that means just it.

    Floating-point numbers compare otherwise in Spark, where NaN is the largest.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(2**63) <= value < 2**63 else None
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return None  # of which zone, only Spark knows
        utc = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return f"timestamp '{utc.isoformat(sep=' ')}Z'"
    if isinstance(value, datetime.date):
        return f"date '{value.isoformat()}'"
    return None
