"""The engine of gangs that runs one barrier stage of Spark."""

import abc
import dataclasses
import json
import pickle
import queue
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _native
from ..errors import InvalidArgument, ResourceExhausted, Unsupported
from ._agent import Assignment, Returned, serve
from ._failures import Cause, Failure
from ._post import PostOffice

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

__all__ = ["Gang", "launch"]

#: How often the launcher looks at the job, in seconds.
_LOOK_SECONDS = 0.1
#: And at the slots, while it waits for executors.
_SLOTS_SECONDS = 0.5
#: How long a job that was cancelled may take to end.
_CANCEL_SECONDS = 30.0
#: How long an application's executors may take to come; what Spark's scheduler gives them
#: (spark.scheduler.maxRegisteredResourcesWaitingTime).
_REGISTERING_SECONDS = 30.0
_SCHEMA = "rank int, returned binary"


@dataclass(frozen=True)
class Gang:
    """What to run, as `run` was told."""

    payload: bytes
    tasks: int
    gpus_per_task: float
    max_restarts: int
    timeout_ms: int
    env: dict[str, str]
    output_dir: str | None
    on_report: Callable[[int, bytes], object] | None
    on_restart: Callable[[int, str], object]

    @property
    def timeout(self) -> float:
        """Return seconds."""
        return self.timeout_ms / 1000


def launch(session: "SparkSession", gang: Gang) -> list[bytes]:
    """Run a gang in the cluster of a session; return what its tasks returned, by rank."""
    kind = type(session).__module__
    if not kind.startswith("pyspark.sql."):
        raise InvalidArgument(f"engine is {session!r}, expected a SparkSession")
    is_connect = kind.startswith("pyspark.sql.connect.")
    cluster = (_Connect if is_connect else _Classic)(session, gang)
    for attempt in range(gang.max_restarts + 1):
        cluster.check_slots(is_restart=attempt > 0)
        outcome = _Attempt(cluster, gang, attempt).run()
        if isinstance(outcome, list):
            return outcome
        if attempt == gang.max_restarts:
            tries = f" in its attempt {attempt + 1}" if attempt else ""
            text = f"the gang failed{tries}: {outcome.text}"
            raise dataclasses.replace(outcome, text=text).exception()
        gang.on_restart(attempt + 1, outcome.text)
    raise AssertionError("the last attempt returns or raises")


class _Cluster(abc.ABC):
    """What differs between classic sessions and those of Connect."""

    def __init__(self, session: "SparkSession", gang: Gang) -> None:
        self.session = session
        self._gang = gang
        #: Addresses of accelerators, by rank, that Spark does not deal.
        self.shares: list[list[str]] = []
        self.profile: ResourceProfile | None = None
        if self._conf("spark.dynamicAllocation.enabled", "false") == "true":
            raise Unsupported(
                "Spark runs no barrier stage with dynamic allocation, and a gang is one: "
                "start the session with spark.dynamicAllocation.enabled=false"
            )
        if self._is_local and float(self._conf("spark.task.resource.gpu.amount", "0")):
            raise Unsupported(
                "Spark's local mode has no gpus for tasks, and never starts those of a "
                "session with spark.task.resource.gpu.amount: start it with "
                "headrace.spark.gpu_conf(gpus_of_driver=...) alone"
            )
        if gang.gpus_per_task:
            self._take_gpus()

    def _conf(self, name: str, default: str) -> str:
        # Spark would check a default against the setting's type.
        value = self.session.conf.get(name, None)
        return default if value is None else value

    @property
    def _is_local(self) -> bool:
        return re.fullmatch(r"local(\[.*\])?", self._conf("spark.master", "")) is not None

    def _take_gpus(self) -> None:
        """Have Spark give each task its accelerators."""
        each = self._gang.gpus_per_task
        if each > 0.5 and each != int(each):
            # Its message says what is asked for in vain.
            _native.share_accelerators("gpu", [], tasks=1, per_task=each)
        if self._is_local:
            # Spark's local mode deals none; all tasks are where the driver is.
            self.shares = _native.share_accelerators(
                "gpu", self._driver_gpus(), tasks=self._gang.tasks, per_task=each
            )
            return
        there = float(self._conf("spark.executor.resource.gpu.amount", "0"))
        if there < each:
            found = f"{there:g} each" if there else "none"
            raise ResourceExhausted(
                f"a gang of {each:g} gpu a task needs executors that have them, found "
                f"{found} (spark.executor.resource.gpu.amount): start the session with "
                f"headrace.spark.gpu_conf(gpus_per_executor=...)"
            )
        if float(self._conf("spark.task.resource.gpu.amount", "0")) != each:
            from ..spark import gpu_profile

            self.profile = gpu_profile(each, cpus_per_task=self._cpus)

    @property
    def _cpus(self) -> int:
        return max(1, int(float(self._conf("spark.task.cpus", "1"))))

    def _too_few(self, slots: int) -> ResourceExhausted:
        kind = f"{self._cpus} cpu"
        if self._gang.gpus_per_task:
            kind += f" + {self._gang.gpus_per_task:g} gpu"
        return ResourceExhausted(
            f"the gang needs {self._gang.tasks} slots of {kind}, the cluster has {slots}: "
            f"ask for fewer tasks, or start more executors"
        )

    @abc.abstractmethod
    def _driver_gpus(self) -> list[str]:
        """Return the addresses that Spark has found for its driver."""

    def check_slots(self, *, is_restart: bool) -> None:
        """Raise ResourceExhausted where not all tasks can run at once."""
        # Executors may come yet: after the start of the application, as long as Spark's own
        # scheduler waits for them, and in the place of one that was lost.
        until = 0.0
        if is_restart:
            until = time.time() + self._gang.timeout
        elif not self._is_local:
            begin_ms = float(self._conf("spark.app.startTime", "0"))
            until = begin_ms / 1000 + _REGISTERING_SECONDS
        while (slots := self._slots()) is not None and slots < self._gang.tasks:
            if time.time() >= until:
                raise self._too_few(slots)
            time.sleep(_SLOTS_SECONDS)

    @abc.abstractmethod
    def _slots(self) -> int | None:
        """Return how many tasks can run at once; nothing where Spark does not tell."""

    @abc.abstractmethod
    def collect(self, assignment: Assignment, tag: str) -> list[Returned]:
        """Run the barrier stage."""

    @abc.abstractmethod
    def has_started(self, tag: str) -> bool:
        """Return whether tasks of the job run, or have run."""

    @abc.abstractmethod
    def cancel(self, tag: str) -> None:
        """End the job."""

    @abc.abstractmethod
    def own_host(self) -> str:
        """Return where executors may reach this process."""


def _serve_partition(assignment: Assignment, _: Iterator[Any]) -> Iterator[Returned]:
    yield serve(assignment)


def _serve_batches(
    assignment: Assignment, batches: "Iterator[pa.RecordBatch]"
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for _ in batches:
        pass
    returned = serve(assignment)
    columns = [
        pa.array([returned.rank], pa.int32()),
        pa.array([pickle.dumps(returned)], pa.binary()),
    ]
    yield pa.RecordBatch.from_arrays(columns, ["rank", "returned"])


class _Classic(_Cluster):
    """A session whose driver's JVM belongs to this process."""

    @property
    def _jvm_context(self) -> Any:
        return self.session.sparkContext._jsc.sc()

    def _driver_gpus(self) -> list[str]:
        found = self.session.sparkContext.resources.get("gpu")
        return list(found.addresses) if found else []

    def _slots(self) -> int:
        context = self._jvm_context
        manager = context.resourceProfileManager()
        profile = manager.defaultResourceProfile()
        if self.profile is not None:
            own = self.session.sparkContext.emptyRDD().withResources(self.profile)
            profile = own._jrdd.rdd().getResourceProfile()
        return int(context.maxNumConcurrentTasks(profile))

    def collect(self, assignment: Assignment, tag: str) -> list[Returned]:
        context = self.session.sparkContext
        context.addJobTag(tag)
        tasks = self._gang.tasks
        rdd = context.parallelize(range(tasks), tasks)
        if self.profile is not None:
            rdd = rdd.withResources(self.profile)
        return (
            rdd.barrier().mapPartitions(partial(_serve_partition, assignment)).collect()
        )

    def has_started(self, tag: str) -> bool:
        tracker = self._jvm_context.statusTracker()
        for job in tracker.getJobIdsForTag(tag):
            info = tracker.getJobInfo(job)
            for stage in info.get().stageIds() if info.isDefined() else []:
                found = tracker.getStageInfo(stage)
                if found.isDefined() and (
                    found.get().numActiveTasks() or found.get().numCompletedTasks()
                ):
                    return True
        return False

    def cancel(self, tag: str) -> None:
        self.session.sparkContext.cancelJobsWithTag(tag)

    def own_host(self) -> str:
        return self._conf("spark.driver.host", "127.0.0.1")


class _Connect(_Cluster):
    """A session of Spark Connect: the driver is another process, maybe elsewhere."""

    def __init__(self, session: "SparkSession", gang: Gang) -> None:
        super().__init__(session, gang)
        self._started: set[str] = set()

    def _driver_gpus(self) -> list[str]:
        return []

    def _slots(self) -> int | None:
        """Return the parallelism that Spark gives a range: its cores, unless it is set."""
        names = ("spark.default.parallelism", "spark.sql.leafNodeDefaultParallelism")
        if any(self._conf(name, "") for name in names):
            return None
        from pyspark.sql import functions as F  # noqa: N812

        parts = self.session.range(1 << 20).select(F.spark_partition_id().alias("part"))
        last = parts.agg(F.max("part")).collect()[0][0]
        return int(last + 1) // self._cpus

    def collect(self, assignment: Assignment, tag: str) -> list[Returned]:
        thread = threading.get_ident()

        def on_progress(stages: Any, inflight_tasks: int, *_: Any, **__: Any) -> None:
            # Handlers hear of all queries of a session, each in the thread that waits.
            if threading.get_ident() == thread and inflight_tasks > 0:
                self._started.add(tag)

        tasks = self._gang.tasks
        self.session.addTag(tag)
        self.session.registerProgressHandler(on_progress)  # type: ignore[arg-type]
        try:
            rows = (
                self.session.range(0, tasks, 1, tasks)
                .mapInArrow(
                    partial(_serve_batches, assignment), _SCHEMA, True, self.profile
                )
                .collect()
            )
        finally:
            self.session.removeProgressHandler(on_progress)  # type: ignore[arg-type]
            self.session.removeTag(tag)
        return [pickle.loads(row["returned"]) for row in rows]

    def has_started(self, tag: str) -> bool:
        return tag in self._started

    def cancel(self, tag: str) -> None:
        self.session.interruptTag(tag)

    def own_host(self) -> str:
        """Return the address from which this machine would speak to the driver."""
        driver = self._conf("spark.driver.host", "127.0.0.1")
        try:
            family, *_, address = socket.getaddrinfo(driver, 9, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(address)  # sends nothing
                return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


class _Attempt:
    """One barrier stage.

    The thread that waits for it is not the caller's, who takes reports, and can be
    interrupted.
    """

    def __init__(self, cluster: _Cluster, gang: Gang, number: int) -> None:
        self._cluster = cluster
        self._gang = gang
        self._secret = secrets.token_bytes(32)
        self._tag = f"headrace-gang-{secrets.token_hex(8)}"
        self._reports: queue.SimpleQueue[tuple[int, int, bytes]] = queue.SimpleQueue()
        self._next = [0] * gang.tasks
        self._assignment = Assignment(
            tasks=gang.tasks,
            attempt=number,
            timeout_ms=gang.timeout_ms,
            payload=gang.payload,
            environment=gang.env,
            output_dir=gang.output_dir,
            secret=self._secret,
            launcher=None,
            shares=cluster.shares,
        )
        self._returned: list[Returned] = []
        self._error: BaseException | None = None

    def run(self) -> list[bytes] | Failure:
        """Return the results by rank, or why there are none."""
        if self._gang.on_report is None:
            return self._run()
        host = self._cluster.own_host()
        office = PostOffice(host, self._secret, self._take)
        self._assignment = dataclasses.replace(self._assignment, launcher=office.address)
        try:
            return self._run()
        finally:
            office.close()

    def _run(self) -> list[bytes] | Failure:
        from pyspark import InheritableThread

        thread = InheritableThread(self._collect, session=self._cluster.session)
        thread.daemon = True
        thread.start()
        try:
            self._wait(thread)
        except BaseException:
            self._cluster.cancel(self._tag)
            thread.join(_CANCEL_SECONDS)
            raise
        if self._error is not None:
            failure = _failure(self._error, self._gang.tasks)
            if failure is None:
                raise self._error
            return failure
        for returned in self._returned:
            for number, value in returned.reports:
                self._reports.put((returned.rank, number, value))
        self._hand_reports()
        by_rank = sorted(self._returned, key=lambda returned: returned.rank)
        return [returned.value for returned in by_rank]

    def _collect(self) -> None:
        try:
            self._returned = self._cluster.collect(self._assignment, self._tag)
        except BaseException as error:
            self._error = error

    def _wait(self, thread: threading.Thread) -> None:
        deadline = time.monotonic() + self._gang.timeout
        has_started = False
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            self._hand_reports()
            if has_started or time.monotonic() < deadline:
                continue
            has_started = self._cluster.has_started(self._tag)
            if not has_started and thread.is_alive():
                raise ResourceExhausted(
                    f"the {self._gang.tasks} tasks of the gang did not start within "
                    f"{self._gang.timeout:g} s: other jobs have the slots that it needs, "
                    f"or executors were lost"
                )
        self._hand_reports()

    def _take(self, message: bytes) -> bytes:
        head, _, value = message.partition(b"\n")
        rank, number = json.loads(head)
        self._reports.put((rank, number, value))
        return b""

    def _hand_reports(self) -> None:
        while not self._reports.empty():
            rank, number, value = self._reports.get()
            # One whose answer was lost comes twice.
            if number == self._next[rank] and self._gang.on_report is not None:
                self._next[rank] += 1
                self._gang.on_report(rank, value)


def _failure(error: BaseException, tasks: int) -> Failure | None:
    """Return how the gang failed; nothing if Spark failed."""
    message = str(error)
    failure = Failure.found(message)
    if failure is not None:
        return failure
    if "SPARK-24819" in message:
        raise ResourceExhausted(
            f"the gang needs {tasks} slots, which the cluster has not: {message}"
        ) from error
    lost = re.search(
        r"barrier task ResultTask\(\d+, (\d+)\) finished unsuccessfully\.\s*(.*)", message
    )
    if lost is None:
        return None
    rank, why = int(lost[1]), lost[2].strip()
    return Failure(
        Cause.SIGNALLED, rank, f"rank {rank} of {tasks} was lost, with its worker: {why}"
    )
