"""Tables that delta-rs cannot write: each function writes a log by hand."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import checkpoints
import pyarrow as pa
from log_writer import START_MS, Action, LogWriter, statistics, write_lines

IDS = pa.schema({"id": pa.int64(), "x": pa.float64()})
KERNEL = ("kernel",)
BOTH = ("deltalake", "kernel")


@dataclass
class Hand:
    writer: LogWriter
    oracles: tuple[str, ...] = BOTH
    first: int = 0  # versions before are gone from the log
    unreadable: set[int] = field(default_factory=set)


MAKERS: dict[str, Callable[[Path], Hand]] = {}


def table_of_name(make: Callable[[Path], Hand]) -> Callable[[Path], Hand]:
    MAKERS[make.__name__] = make
    return make


def numbers(first: int, count: int = 10) -> pa.Table:
    ids = range(first, first + count)
    return pa.table({"id": list(ids), "x": [i / 4 for i in ids]}, IDS)


def started(root: Path, *features: str, **configuration: str) -> LogWriter:
    """A table of ids whose first commit has no rows."""
    table = LogWriter(root)
    table.commit(table.protocol(*features), table.metadata(IDS, **configuration))
    return table


# Deletion vectors


def _with_vectors(root: Path) -> LogWriter:
    return started(root, "deletionVectors", enableDeletionVectors="true")


@table_of_name
def dv_inline(root: Path) -> Hand:
    """Added, then replaced by a larger one, then the file restored whole."""
    table = _with_vectors(root)
    whole = table.add(numbers(0), "a.parquet")
    table.commit(whole, table.add(numbers(10), "b.parquet"))
    few = table.with_vector(whole, table.inline_vector([0, 3, 9]))
    table.commit(table.remove(whole), few)
    more = table.with_vector(whole, table.inline_vector([0, 3, 4, 7, 9]))
    table.commit(more, table.remove(few))
    table.commit(table.remove(more), whole)
    return Hand(table, KERNEL)


def _stored(root: Path, *, prefix: str = "", absolute: bool = False) -> Hand:
    table = _with_vectors(root)
    first = table.add(numbers(0, 100), "a.parquet")
    second = table.add(numbers(100, 100), "sub/b.parquet")
    table.commit(first, second)
    one, two = table.stored_vectors(
        range(0, 100, 3), [5, 6, 7], prefix=prefix, absolute=absolute
    )
    marked = table.with_vector(first, one), table.with_vector(second, two)
    table.commit(table.remove(first), table.remove(second), *marked)
    table.commit(table.add(numbers(500), "c.parquet"))
    return Hand(table, KERNEL)


@table_of_name
def dv_relative(root: Path) -> Hand:
    return _stored(root)


@table_of_name
def dv_relative_with_prefix(root: Path) -> Hand:
    return _stored(root, prefix="ab")


@table_of_name
def dv_absolute(root: Path) -> Hand:
    return _stored(root, absolute=True)


@table_of_name
def dv_of_every_container(root: Path) -> Hand:
    """Arrays, bitmaps and runs, beyond 2^16 rows, in files of several row groups."""
    table = _with_vectors(root)
    rows = 150_000
    runs = [*range(10, 40_000), *range(70_000, 131_072), 149_999]
    deleted = [range(0, rows, 2), runs, [0, 65_535, 65_536, 131_072], range(rows), []]
    for number, positions in enumerate(deleted):
        data = numbers(number * rows, rows)
        add = table.add(data, f"{number}.parquet", row_group_size=40_000)
        (vector,) = table.stored_vectors(positions)
        table.commit(table.with_vector(add, vector))
    return Hand(table, KERNEL)


@table_of_name
def dv_partitioned_in_a_checkpoint(root: Path) -> Hand:
    table = LogWriter(root)
    schema = pa.schema([*IDS, pa.field("day", pa.date32())])
    table.commit(table.protocol("deletionVectors"), table.metadata(schema, ["day"]))
    adds = [
        table.add(
            numbers(10 * day),
            f"day=2026-11-{day:02}/f.parquet",
            partition={"day": datetime.date(2026, 11, day)},
        )
        for day in (1, 2, 3)
    ]
    table.commit(*adds)
    inline = table.with_vector(adds[0], table.inline_vector([1, 2]))
    (vector,) = table.stored_vectors([0])
    stored = table.with_vector(adds[1], vector)
    table.commit(*(table.remove(a) for a in adds[:2]), inline, stored)
    checkpoints.classic(table, 2)
    table.forget(0, 1, 2)
    # The newest vector wins over that of the checkpoint.
    again = table.with_vector(adds[0], table.inline_vector([1, 2, 5]))
    table.commit(table.remove(inline), again)
    return Hand(table, KERNEL, first=2)


# Checkpoints and the log's forms


def _grown(root: Path, *features: str) -> LogWriter:
    """Six versions: three files come, one goes, one transaction is named."""
    table = started(root, *features)
    adds = []
    for number in range(3):
        adds.append(table.add(numbers(10 * number), f"f {number}.parquet"))
        table.commit(adds[-1], {"txn": {"appId": "app", "version": number}})
    table.commit(table.remove(adds[1]))
    table.commit(table.add(numbers(90), "g.parquet"))
    return table


def _after_checkpoint(table: LogWriter, oracles: tuple[str, ...]) -> Hand:
    """The log begins with the checkpoint of version 4."""
    table.forget(*range(5))
    return Hand(table, oracles, first=4)


@table_of_name
def checkpoint_of_several_parts(root: Path) -> Hand:
    table = _grown(root)
    checkpoints.classic(table, 4, parts=3)
    return _after_checkpoint(table, BOTH)


@table_of_name
def checkpoint_that_lacks_a_part(root: Path) -> Hand:
    """A checkpoint of several parts of which one is missing does not count."""
    table = _grown(root)
    checkpoints.classic(table, 2)
    checkpoints.classic(table, 4, parts=3)
    (table.log / f"{4:020}.checkpoint.{2:010}.{3:010}.parquet").unlink()
    checkpoints.last_checkpoint(table, 2, 4)
    table.forget(0, 1)
    return Hand(table, BOTH, first=2)


@table_of_name
def checkpoint_with_structs(root: Path) -> Hand:
    """No statistics in JSON: `stats_parsed` and `partitionValues_parsed` instead."""
    table = LogWriter(root)
    schema = pa.schema(
        {
            "id": pa.int64(),
            "ts": pa.timestamp("us", "UTC"),
            "d": pa.date32(),
            "price": pa.decimal128(9, 2),
            "name": pa.string(),
            "day": pa.date32(),
            "n": pa.int32(),
            "kind": pa.string(),
        }
    )
    table.commit(
        table.protocol(),
        table.metadata(
            schema,
            ["day", "n", "kind"],
            checkpoint__writeStatsAsStruct="true",
            checkpoint__writeStatsAsJson="false",
        ),
    )
    data = pa.schema([f for f in schema if f.name not in ("day", "n", "kind")])
    for number, kind in enumerate(["a", "b c", None, ""]):
        at = datetime.datetime(2026, 11, 1 + number, 1, 2, 3, 456789, datetime.UTC)
        rows = [
            {
                "id": number,
                "ts": at,
                "d": at.date(),
                "price": Decimal("1.25"),
                "name": kind,
            },
            {"id": number + 100, "ts": at + datetime.timedelta(microseconds=900)},
        ]
        partition: dict[str, Any] = {"day": at.date(), "n": number or None, "kind": kind}
        add = table.add(
            pa.Table.from_pylist(rows, data), f"{number}.parquet", partition=partition
        )
        # An empty text is null, for every type.
        for row in table.files[add["add"]["path"]].rows:
            row["kind"] = kind or None
        table.commit(add)
    checkpoints.classic(table, 4, struct_stats=True)
    return _after_checkpoint(table, BOTH)


@table_of_name
def checkpoint_without_the_hint(root: Path) -> Hand:
    table = _grown(root)
    checkpoints.classic(table, 4)
    (table.log / "_last_checkpoint").unlink()
    return _after_checkpoint(table, BOTH)


@table_of_name
def checkpoint_with_a_torn_hint(root: Path) -> Hand:
    """`_last_checkpoint` is only a hint."""
    table = _grown(root)
    checkpoints.classic(table, 4)
    (table.log / "_last_checkpoint").write_text('{"version":')
    return _after_checkpoint(table, BOTH)


@table_of_name
def checkpoint_older_than_others(root: Path) -> Hand:
    """The hint names an older one than there is."""
    table = _grown(root)
    checkpoints.classic(table, 4)
    checkpoints.classic(table, 2)
    table.forget(*range(5))
    return Hand(table, KERNEL, first=4)


def _v2(root: Path, **options: Any) -> Hand:
    table = _grown(root, "v2Checkpoint")
    checkpoints.v2(table, 4, **options)
    return _after_checkpoint(table, KERNEL)


@table_of_name
def checkpoint_v2_json_sidecars(root: Path) -> Hand:
    return _v2(root, form="json")


@table_of_name
def checkpoint_v2_json_inline(root: Path) -> Hand:
    return _v2(root, form="json", sidecars=0)


@table_of_name
def checkpoint_v2_parquet_sidecars(root: Path) -> Hand:
    return _v2(root, form="parquet", sidecars=3)


@table_of_name
def checkpoint_v2_parquet_inline(root: Path) -> Hand:
    return _v2(root, form="parquet", sidecars=0)


@table_of_name
def checkpoint_v2_under_the_classic_name(root: Path) -> Hand:
    return _v2(root, form="parquet", named_classic=True)


@table_of_name
def checkpoint_v2_with_structs(root: Path) -> Hand:
    return _v2(root, form="json", struct_stats=True)


@table_of_name
def log_compaction(root: Path) -> Hand:
    table = _grown(root)
    table.compact(1, 4)
    return Hand(table, KERNEL)


@table_of_name
def log_compaction_after_a_checkpoint(root: Path) -> Hand:
    table = _grown(root)
    checkpoints.classic(table, 2)
    table.compact(1, 4)  # begins before the checkpoint
    table.compact(3, 5)
    table.forget(0, 1, 2)
    return Hand(table, KERNEL, first=2)


@table_of_name
def log_with_other_files(root: Path) -> Hand:
    """Checksums, staged commits and temporary files are not commits."""
    table = _grown(root)
    log = table.log
    (log / f"{5:020}.crc").write_text("{}")
    (log / f".{6:020}.json.tmp").write_text("{")
    (log / "_staged_commits").mkdir()
    (log / "_staged_commits" / f"{6:020}.{'a' * 8}.json").write_text("{}")
    (log / f"{6:020}.json.{'b' * 8}").write_text("{")
    (log / "6.json").write_text("{")
    return Hand(table, ())


# What the protocol lets a log say


@table_of_name
def commit_timestamps(root: Path) -> Hand:
    """In-commit timestamps, on from version 2; times of files say something else."""
    table = started(root)
    table.commit(table.add(numbers(0), "0.parquet"))
    features = {
        "protocol": {
            "minReaderVersion": 1,
            "minWriterVersion": 7,
            "writerFeatures": ["inCommitTimestamp"],
        }
    }
    enabled = table.metadata(
        IDS,
        enableInCommitTimestamps="true",
        inCommitTimestampEnablementVersion="2",
        inCommitTimestampEnablementTimestamp=str(START_MS + 1_000_000),
    )
    info = {"inCommitTimestamp": START_MS + 1_000_000}
    table.commit(features, enabled, info=info)
    for version in (3, 4, 5):
        info = {"inCommitTimestamp": START_MS + version * 1_000_000}
        table.commit(table.add(numbers(10 * version), f"{version}.parquet"), info=info)
    return Hand(table)


@table_of_name
def unknown_writer_feature(root: Path) -> Hand:
    """Readers need not care."""
    table = LogWriter(root)
    protocol = {
        "protocol": {
            "minReaderVersion": 1,
            "minWriterVersion": 7,
            "writerFeatures": ["appendOnly", "featureOfTomorrow"],
        }
    }
    table.commit(protocol, table.metadata(IDS))
    table.commit(table.add(numbers(0), "a.parquet"))
    return Hand(table)


@table_of_name
def reader_features_without_use(root: Path) -> Hand:
    features = ("deletionVectors", "columnMapping", "timestampNtz", "v2Checkpoint")
    table = LogWriter(root)
    table.commit(table.protocol(*features, "vacuumProtocolCheck"), table.metadata(IDS))
    table.commit(table.add(numbers(0), "a.parquet"))
    return Hand(table, KERNEL)


@table_of_name
def actions_and_fields_of_tomorrow(root: Path) -> Hand:
    """What is not recognised is ignored."""
    table = started(root)
    add = table.add(numbers(0), "a.parquet")
    add["add"] |= {"futureField": {"a": [1, 2]}, "tags": {"k": None}, "baseRowId": 0}
    domain = {"domain": "d", "configuration": "{}", "removed": False}
    table.commit(add, {"futureAction": {"x": 1}}, {"domainMetadata": domain})
    return Hand(table)


@table_of_name
def removed_and_added_again(root: Path) -> Hand:
    table = started(root)
    first = table.add(numbers(0), "a.parquet")
    table.commit(first)
    table.commit(table.remove(first))
    table.commit(first)
    table.commit(table.remove(first), table.add(numbers(10), "b.parquet"))
    table.commit({"add": first["add"] | {"dataChange": False}})
    return Hand(table)


@table_of_name
def added_twice(root: Path) -> Hand:
    """A second add of a file replaces what the first said of it."""
    table = started(root)
    add = table.add(numbers(0), "a.parquet", stats=None)
    table.commit(add)
    stats = statistics(numbers(0))
    table.commit({"add": add["add"] | {"stats": stats, "dataChange": False}})
    return Hand(table)


@table_of_name
def odd_paths(root: Path) -> Hand:
    """File names that URIs escape, and some that they need not."""
    table = started(root)
    odd = ["with space", "100%", "a=b", "ü 雪", "a+b&c", "hash#q?", "%20", "semi;colon,"]
    adds = [
        table.add(numbers(10 * n), f"dir {n}/{name}.parquet")
        for n, name in enumerate(odd)
    ]
    table.commit(*adds)
    table.commit(table.remove(adds[0]), table.remove(adds[3]))
    checkpoints.classic(table, 2)
    return Hand(table)


@table_of_name
def absolute_paths(root: Path) -> Hand:
    """As a shallow clone has them: data files of another table."""
    table = started(root)
    other = root.parent / f"{root.name} elsewhere"
    path = other / "sub dir" / "f.parquet"
    table.commit(
        table.add(
            numbers(0), "sub dir/f.parquet", folder=other, logged_path=path.as_uri()
        ),
        table.add(numbers(10), "near.parquet"),
    )
    return Hand(table, KERNEL)


@table_of_name
def values_of_partitions(root: Path) -> Hand:
    """Other spellings of partition values, and an empty text, which is null."""
    table = LogWriter(root)
    schema = pa.schema(
        [
            *IDS,
            pa.field("ts", pa.timestamp("us", "UTC")),
            pa.field("d", pa.decimal128(10, 2)),
            pa.field("b", pa.bool_()),
            pa.field("s", pa.string()),
        ]
    )
    table.commit(table.protocol(), table.metadata(schema, ["ts", "d", "b", "s"]))
    at = datetime.datetime(2026, 11, 1, 2, 3, 4, 500000, datetime.UTC)
    spelled = [
        ("2026-11-01T02:03:04.500000Z", "1.50", "true", "x"),
        ("2026-11-01 02:03:04.5", "1.50", "true", "x"),
        ("2026-11-01 02:03:04.500000", "1.50", "false", " x "),
        ("", "", "", ""),
        (None, None, None, None),
    ]
    meant = [
        (at, Decimal("1.50"), True, "x"),
        (at, Decimal("1.50"), True, "x"),
        (at, Decimal("1.50"), False, " x "),
        (None, None, None, None),
        (None, None, None, None),
    ]
    names = ("ts", "d", "b", "s")
    for number, (texts, values) in enumerate(zip(spelled, meant, strict=True)):
        partition = dict(zip(names, values, strict=True))
        add = table.add(numbers(10 * number), f"{number}.parquet", partition=partition)
        add["add"]["partitionValues"] = dict(zip(names, texts, strict=True))
        table.commit(add)
    return Hand(table)


def write_version(table: LogWriter, version: int, actions: list[Action]) -> None:
    """A commit file as it is given, for logs that are wrong."""
    write_lines(table.log / f"{version:020}.json", actions)
