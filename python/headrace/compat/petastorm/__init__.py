"""Petastorm's names, for programs that were written for it.

Only imports change: ``from headrace.compat.petastorm import TransformSpec`` and
``from headrace.compat.petastorm.spark import make_spark_converter``.
"""

from ._transform import TransformSpec, edit_field

__all__ = ["TransformSpec", "edit_field"]
