"""Accelerators of Spark's executors and tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

__all__ = ["gpu_conf", "gpu_profile"]

#: Spark calls discovery scripts without arguments, so that the binary alone is none.
_SCRIPT = Path(__file__).parent / "discover_gpus.sh"


def gpu_conf(
    *,
    gpus_per_executor: int = 0,
    gpus_per_task: float = 1,
    gpus_of_driver: int = 0,
    discovery_script: str | None = None,
) -> dict[str, str]:
    """Return what a session needs so that Spark deals accelerators to tasks.

    Parameters
    ----------
    gpus_per_executor : int
        How many each executor takes; nothing is said of executors and tasks if none.
    gpus_per_task : float
        How many each task is given: a whole number, or at most 0.5 of one that it shares.
    gpus_of_driver : int
        How many the driver takes; they are in ``spark.sparkContext.resources``. In local
        mode, where Spark has no executors, gangs share these, and these alone may be given.
    discovery_script : str, optional
        A program that prints ``{"name": "gpu", "addresses": ["0", "1"]}``, by its path on
        each machine. If not given, one of this package, which asks `headrace accelerators`:
        for clusters that have the package at the same place.

    Returns
    -------
    dict
        For ``SparkSession.builder.config(map=...)``. The workers of a standalone cluster
        are told of their accelerators by themselves, in ``SPARK_WORKER_OPTS``.

    Raises
    ------
    InvalidArgument
        The numbers do not fit each other.

    Examples
    --------
    >>> import headrace as hr
    >>> conf = hr.spark.gpu_conf(gpus_per_executor=4, gpus_per_task=1)
    >>> conf["spark.executor.resource.gpu.amount"], conf["spark.task.resource.gpu.amount"]
    ('4', '1')
    """
    _check_per_task(gpus_per_task)
    if gpus_per_executor + gpus_of_driver == 0:
        raise InvalidArgument("a conf for no gpus: give gpus_per_executor=")
    script = str(_SCRIPT) if discovery_script is None else discovery_script
    conf = {}
    if gpus_per_executor:
        if gpus_per_executor < gpus_per_task:
            raise InvalidArgument(
                f"gpus_per_executor is {gpus_per_executor}, expected at least the "
                f"{gpus_per_task:g} of a task"
            )
        conf["spark.executor.resource.gpu.amount"] = str(gpus_per_executor)
        conf["spark.executor.resource.gpu.discoveryScript"] = script
        conf["spark.task.resource.gpu.amount"] = f"{gpus_per_task:g}"
    if gpus_of_driver:
        conf["spark.driver.resource.gpu.amount"] = str(gpus_of_driver)
        conf["spark.driver.resource.gpu.discoveryScript"] = script
    return conf


def gpu_profile(gpus_per_task: float, *, cpus_per_task: int = 1) -> "ResourceProfile":
    """Return a profile of tasks, for stages that need other accelerators than the rest.

    Parameters
    ----------
    gpus_per_task : float
        As for `gpu_conf`, whose executors are there already.
    cpus_per_task : int
        How many cores.

    Returns
    -------
    ResourceProfile
        For ``rdd.withResources`` and ``df.mapInArrow(profile=)``. It needs no dynamic
        allocation, since executors stay as they are.

    Raises
    ------
    InvalidArgument
        Another number.
    """
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    _check_per_task(gpus_per_task)
    tasks = TaskResourceRequests().cpus(cpus_per_task).resource("gpu", gpus_per_task)
    return ResourceProfileBuilder().require(tasks).build


def _check_per_task(gpus: float) -> None:
    if not (0 < gpus <= 0.5 or (gpus >= 1 and gpus == int(gpus))):
        raise InvalidArgument(
            f"gpus_per_task is {gpus!r}, expected a whole number, or at most 0.5 of one"
        )
