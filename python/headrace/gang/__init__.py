"""Gangs: tasks that start together, meet at barriers, and fail together.

`run` calls a function in many processes at once, on this machine or, given a
`SparkSession`, in a barrier stage of its cluster. Inside of a task `context` says which one
it is, and lets it meet the others. `headrace run` does the same for any program.

>>> import headrace as hr
>>> def task():
...     ctx = hr.gang.context()
...     return sum(ctx.all_gather(ctx.rank))
>>> hr.gang.run(task, tasks=3)
[3, 3, 3]
"""

from ._accelerators import accelerators
from ._context import Context, context
from ._run import run

__all__ = ["Context", "accelerators", "context", "run"]
