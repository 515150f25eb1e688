"""Which DataFrames give the same rows: across drivers, in one session, or not at all."""

import functools
import hashlib
import importlib.resources
import json
import re
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame

from .. import opening
from ._input_files import InputFiles, setting

__all__ = ["PlanIdentity", "SessionPlans", "identify"]

_Made = TypeVar("_Made")

# A plan larger than this holds rows of the driver's own; it is not kept for a comparison.
_PLAN_BYTES_MAX = 1 << 16

# Of the text of a plan, where there is nothing better to ask (Spark Connect).
_RANDOM = re.compile(
    r"\b(rand|randn|randstr|uniform|uuid|shuffle|monotonically_increasing_id|"
    r"spark_partition_id|input_file_block_\w+|reflect|java_method|Sample)\b"
)
# What Spark leaves out of it, and by which settings.
_CUT = re.compile(r"\d more (fields|characters)|Truncated plan of")
_FIELDS_MAX, _TEXT_MAX = (
    "spark.sql.debug.maxToStringFields",
    "spark.sql.maxPlanStringLength",
)
_ALL = str(2**31 - 16)
_PYTHON = re.compile(r"EvalPython|InPandas|InArrow|InBatch|EvalPythonUDTF")

_input_files = InputFiles()


@dataclass(frozen=True, slots=True)
class PlanIdentity:
    """What a DataFrame's rows may be known by.

    Attributes
    ----------
    scope : str
        "shared": equal keys mean equal rows, in any session of any driver. "session": in
        this session alone. "never": another run gives other rows.
    key : str or None
        SHA-256, in hexadecimal; None of "never".
    reason : str
        Why the scope is no wider; empty of "shared".
    exact : bool
        Whether equal keys suffice. If not, Spark has to compare the plans, too.
    """

    scope: Literal["shared", "session", "never"]
    key: str | None
    reason: str
    exact: bool = True


def identify(df: DataFrame, options: Mapping[str, str]) -> PlanIdentity:
    """Return what a DataFrame's rows may be known by, without running it.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Classic, or of Spark Connect.
    options : dict of str to str
        How the rows will be stored; part of the key.

    Returns
    -------
    PlanIdentity
        "shared" only for plans of which all is known: Spark's own operators and expressions
        over files, each with path, size and time as they are now.
    """
    if type(df).__module__.startswith("pyspark.sql.connect."):
        return _observed(df, options, "Spark Connect tells nothing of the plan")
    # Anew: what a DataFrame once found in Spark's cache it remembers, but does not use.
    execution = df.select("*")._jdf.queryExecution()
    try:
        token, describe = _describer(df.sparkSession._jvm)
        digest, *doubts = describe(execution).split("\n")
    except Py4JError as error:  # no compiler, or calls into the JVM are restricted
        return _observed(df, options, f"the plan cannot be read ({_message(error)})")
    told: dict[str, list[str]] = {"never": [], "session": [], "table": []}
    for doubt in doubts:
        kind, text = doubt.split("\t", 1)
        told[kind].append(text)
    if told["never"]:
        return PlanIdentity("never", None, "; ".join(told["never"]))
    known = [digest, *(_fingerprint(text.split("\t")) for text in told["table"])]
    if told["session"]:
        key = _key([*known, token], options)
        return PlanIdentity("session", key, "; ".join(told["session"]))
    return PlanIdentity("shared", _key(known, options), "")


class SessionPlans(Generic[_Made]):
    """What was made of DataFrames, for later ones that are the same. Not thread-safe.

    Keeps no DataFrame where keys suffice. Of Spark Connect it keeps the plans (some KB each) of
    those that hold no rows themselves; a DataFrame that does is known while its user has it.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[Callable[[], Any], _Made]]] = {}

    def find(self, df: DataFrame, identity: PlanIdentity) -> _Made | None:
        """Return what was made of a DataFrame of the same rows, None if nothing was.

        Parameters
        ----------
        df : pyspark.sql.DataFrame
            Asked for.
        identity : PlanIdentity
            Its identity.

        Returns
        -------
        object or None
            What `add` was given.
        """
        for recall, made in self._known.get(identity.key or "", ()):
            if identity.exact:
                return made
            earlier = recall()
            # Of one and the same, too: what it reads may have been resolved anew since.
            if earlier is not None and earlier.sameSemantics(df):
                return made
        return None

    def add(self, df: DataFrame, identity: PlanIdentity, made: _Made) -> None:
        """Remember what was made of a DataFrame; nothing if it is never the same again.

        Parameters
        ----------
        df : pyspark.sql.DataFrame
            What it was made of.
        identity : PlanIdentity
            Its identity.
        made : object
            What `find` returns.
        """
        if identity.key is None:
            return
        recall: Callable[[], Any] = _nothing
        if not identity.exact:
            recall = weakref.ref(df) if _holds_rows(df) else functools.partial(_same, df)
        self._known.setdefault(identity.key, []).append((recall, made))

    def remove(self, made: _Made) -> None:
        """Forget what was made.

        Parameters
        ----------
        made : object
            What `add` was given.
        """
        for key, entries in list(self._known.items()):
            left = [entry for entry in entries if entry[1] is not made]
            if left:
                self._known[key] = left
            else:
                del self._known[key]


def _nothing() -> None:
    return None


def _same(df: DataFrame) -> DataFrame:
    return df


@functools.lru_cache(maxsize=1)
def _describer(jvm: Any) -> tuple[str, Callable[[Any], str]]:
    """Return the method of PlanText.java, and a name for this JVM's objects.

    Spark brings a compiler of Java, by which it compiles queries; so there is no jar of ours
    that a cluster would have to be given.
    """
    source = importlib.resources.files(__package__).joinpath("PlanText.java").read_text()
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(
        jvm.java.lang.Thread.currentThread().getContextClassLoader()
    )
    compiler.cook(source)
    made = compiler.getClassLoader().loadClass("PlanText")
    # newInstance of Class, unlike a constructor's, takes no array from Python.
    return uuid.uuid4().hex, made.newInstance().apply


def _fingerprint(words: list[str]) -> str:
    """Return the fingerprint of the table that options of the source "headrace" name."""
    options = dict(zip(words[::2], words[1::2], strict=True))
    prefix = "storage."
    storage = {
        name.removeprefix(prefix): value
        for name, value in options.items()
        if name.startswith(prefix)
    }
    version = int(options["version"])
    table = opening.open(options["path"], version=version, storage_options=storage)
    return table.fingerprint


def _observed(df: Any, options: Mapping[str, str], reason: str) -> PlanIdentity:
    """Return an identity by what Spark tells of any DataFrame; plans are left to compare."""
    text = _explained(df)
    if "StreamingRelation" in text:  # isStreaming of Connect keeps its DataFrame for good
        return PlanIdentity("never", None, "it is a stream")
    found = _RANDOM.search(text)
    if found is not None:
        return PlanIdentity(
            "never", None, f"it has {found[0]}, which may give other values at each run"
        )
    if "InMemoryRelation" in text or "InMemoryTableScan" in text:
        return PlanIdentity(
            "never", None, "it reads rows that are cached, of files that may have changed"
        )
    if _PYTHON.search(text) and not _functions_are_deterministic(df):
        return PlanIdentity(
            "never", None, "it calls a user's function that may not be deterministic"
        )
    parts = [
        df.schema.json(),
        str(df.sparkSession.conf.get("spark.sql.session.timeZone")),
    ]
    parts += [str(df.sparkSession.conf.get("spark.sql.ansi.enabled"))]
    # Spark compares no plans of two sessions.
    parts.append(getattr(df.sparkSession, "session_id", ""))
    for path, state in _input_files.states(df).items():
        if state is None:  # gone, hidden, or the folder of a table of Hive's
            return PlanIdentity(
                "never", None, f"it reads {path}, of which Spark tells no size and time"
            )
        parts.append(state)
    return PlanIdentity("session", _key(parts, options), reason, exact=False)


def _explained(df: Any) -> str:
    """Return the text of a DataFrame's plans, whole."""
    text = _text(df)
    if not _CUT.search(text):
        return text
    spark = df.sparkSession
    with setting(spark, _FIELDS_MAX, _ALL), setting(spark, _TEXT_MAX, _ALL):
        return _text(df)


def _text(df: Any) -> str:
    if hasattr(df, "_explain_string"):
        return str(df._explain_string(extended=True))
    return str(df.select("*")._jdf.queryExecution().toString())


def _functions_are_deterministic(df: Any) -> bool:
    """Whether the Python functions of a DataFrame lie in it, and none says that it is not."""
    if not hasattr(df, "_plan"):
        return False
    plan = df._plan.to_proto(df._session.client)
    functions = [
        message
        for message in _messages(plan)
        if message.DESCRIPTOR.name == "CommonInlineUserDefinedFunction"
    ]
    return bool(functions) and all(one.deterministic for one in functions)


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in value if hasattr(value, "__len__") else [value]:
            yield from _messages(one)


def _holds_rows(df: Any) -> bool:
    if not hasattr(df, "_plan"):
        return True
    return bool(df._plan.to_proto(df._session.client).ByteSize() > _PLAN_BYTES_MAX)


def _key(parts: list[str], options: Mapping[str, str]) -> str:
    text = json.dumps([1, parts, sorted(options.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def _message(error: Exception) -> str:
    return " ".join(str(error).split("\n\tat ")[0].split()) or type(error).__name__
