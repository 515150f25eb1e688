"""The command line, as users meet it: the installed `headrace`, its output and exit codes."""

import base64
import datetime
import decimal
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 300
ROWS_A_GROUP = 100
SUBCOMMANDS = ("inspect", "head", "stats", "verify", "bench", "copy")


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    """Two Hive partitions with three row groups each."""
    root = tmp_path_factory.mktemp("lake") / "trips"
    for year in (2013, 2014):
        folder = root / f"year={year}"
        folder.mkdir(parents=True)
        table = pa.table(
            {
                "id": pa.array(range(ROWS), pa.int64()),
                "fare": pa.array(
                    [None if i % 3 == 0 else i / 10 for i in range(ROWS)], pa.float32()
                ),
                "name": pa.array([f"trip {i}" for i in range(ROWS)]),
            }
        )
        pq.write_table(
            table,
            folder / "part-0.parquet",
            row_group_size=ROWS_A_GROUP,
            write_page_index=True,
            write_page_checksum=True,
        )
    return root


def break_page(path: Path, row_group: int, column: int) -> None:
    """Flips a bit in the last bytes of a column chunk: values, no header."""
    chunk = pq.read_metadata(path).row_group(row_group).column(column)
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    at = first + chunk.total_compressed_size - 3
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(bytes(content))


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command says."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_version_is_printed(run):
    name, version = run("--version").stdout.split()
    assert name == "headrace"
    assert len(version.split(".")) == 3


def test_help_lists_subcommands_and_exit_codes(run):
    text = run("--help").stdout
    for subcommand in SUBCOMMANDS:
        assert f"\n  {subcommand} " in text
    assert "Exit codes:" in text


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_help_of_a_subcommand_has_examples(run, subcommand):
    text = run(subcommand, "--help").stdout
    assert f"Usage: headrace {subcommand}" in text
    assert text.count(f"  headrace {subcommand} ") >= 2
    assert "--json" in text
    assert "--storage-option" in text


def test_copy_chooses_sorts_and_partitions(run, lake, tmp_path):
    target = tmp_path / "copy"
    done = run(
        "copy", lake, target, "--format", "parquet", "--where", "id < 100", "--select", "id,year",
        "--sort-by", "id", "--partition-by", "year", "--compression", "snappy", "--json",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["files"], summary["partitions"]) == (200, 2, 2)
    assert sorted(path.name for path in target.iterdir()) == ["year=2013", "year=2014"]
    (file,) = (target / "year=2014").iterdir()
    assert pq.ParquetFile(file).read()["id"].to_pylist() == list(range(100))
    again = error_line(run("copy", lake, target, "--format", "parquet", code=7))
    assert again.startswith("headrace: Conflict: ")
    done = run("copy", lake, target, "--format", "parquet", "--mode", "overwrite")
    assert done.stdout.startswith("600 rows in 1 file (1 row group, ")
    assert "in the place of 2 files" in done.stdout


def test_copy_takes_sizes_with_units_and_encodes_anew(run, tmp_path):
    lists = pa.array([[float(i), 1.0] for i in range(5000)], pa.list_(pa.float32()))
    pq.write_table(pa.table({"x": lists}), tmp_path / "lists.parquet")
    target = tmp_path / "cells"
    run(
        "copy", tmp_path / "lists.parquet", target, "--format", "parquet",
        "--codec", "x=zstd", "--row-group-bytes", "64KiB", "--file-bytes", "1MiB",
    )  # fmt: skip
    (file,) = target.iterdir()
    metadata = pq.read_metadata(file)
    assert metadata.num_row_groups > 1
    assert metadata.schema.column(0).physical_type == "BYTE_ARRAY"
    line = error_line(
        run(
            "copy",
            target,
            tmp_path / "no",
            "--format",
            "parquet",
            "--codec",
            "y=raw",
            code=3,
        )
    )
    assert "--codec" in line


def test_inspect_shows_schema_partitions_and_sizes(run, lake):
    text = run("inspect", lake).stdout
    assert text.startswith(f"{lake}\n")
    assert "partitioned by  year" in text
    assert "6 of 100 to 100 rows" in text
    assert "SNAPPY" in text


def test_inspect_as_json(run, lake):
    info = json.loads(run("inspect", lake, "--json").stdout)
    assert (info["rows"], info["files"], info["row_groups"]) == (2 * ROWS, 2, 6)
    assert info["partition_columns"] == ["year"]
    assert [column["name"] for column in info["columns"]] == [
        "id",
        "fare",
        "name",
        "year",
    ]
    assert info["columns"][0]["compressions"] == ["SNAPPY"]


def test_head_prints_an_aligned_table(run, lake):
    lines = run(
        "head", lake, "-n", 2, "--select", "id,fare,name,year"
    ).stdout.splitlines()
    assert lines == [
        "   id   fare  name     year",
        "int64  float  string  int32",
        "-----  -----  ------  -----",
        "    0   null  trip 0   2013",
        "    1    0.1  trip 1   2013",
    ]


def test_head_as_json_selects_and_filters(run, lake):
    done = run(
        "head", lake, "-n", 3, "--json", "--select", "name,id", "--where", "id >= 150 and year = 2014"
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [{"name": f"trip {i}", "id": i} for i in (150, 151, 152)]
    assert list(rows[0]) == ["name", "id"]


def test_head_prints_all_rows_when_there_are_fewer(run, lake):
    done = run("head", lake, "-n", 100_000, "--json", "--select", "id")
    assert len(done.stdout.splitlines()) == 2 * ROWS


def test_head_of_no_rows_prints_the_columns(run, lake):
    assert len(run("head", lake, "-n", 0).stdout.splitlines()) == 3
    assert run("head", lake, "-n", 0, "--json").stdout == ""


def test_head_prints_every_type_as_json(run, tmp_path):
    columns = {
        "big": (pa.uint64(), 2**64 - 1, 2**64 - 1),
        "small": (pa.int64(), -(2**63), -(2**63)),
        "float": (pa.float32(), 0.1, 0.1),
        "half": (pa.float16(), 1.5, 1.5),
        "nan": (pa.float64(), float("nan"), "NaN"),
        "infinity": (pa.float64(), float("-inf"), "-Infinity"),
        "bool": (pa.bool_(), True, True),
        "text": (pa.string(), 'a "b"\n\x1bé', 'a "b"\n\x1bé'),
        "bytes": (pa.binary(), b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        "decimal": (pa.decimal128(30, 2), decimal.Decimal("12345678901234567890.50"), "12345678901234567890.50"),
        "date": (pa.date32(), datetime.date(2013, 2, 28), "2013-02-28"),
        "list": (pa.list_(pa.int32()), [1, None], [1, None]),
        "struct": (pa.struct({"a": pa.int8(), "b": pa.string()}), {"a": 1, "b": None}, {"a": 1, "b": None}),
        "map": (pa.map_(pa.string(), pa.int32()), [("k", 1)], [{"key": "k", "value": 1}]),
        "codes": (pa.dictionary(pa.int32(), pa.string()), "x", "x"),
    }  # fmt: skip
    table = pa.table(
        {
            name: pa.array([value, None], type_)
            for name, (type_, value, _) in columns.items()
        }
    )
    pq.write_table(table, tmp_path / "types.parquet")
    done = run("head", tmp_path / "types.parquet", "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {name: expected for name, (_, _, expected) in columns.items()}
    assert second == dict.fromkeys(columns)


def test_head_shows_no_control_character_and_cuts_long_text(run, tmp_path):
    table = pa.table({"s": ["\x1b[31mred\n", "é" * 100]})
    pq.write_table(table, tmp_path / "text.parquet")
    text = run("head", tmp_path / "text.parquet").stdout
    assert "\\x1b[31mred\\n" in text
    assert "\x1b" not in text
    assert "é" * 39 + "…" in text
    assert "é" * 40 not in text


@pytest.mark.parametrize("subcommand", ["head", "stats", "bench"])
def test_explain_prints_the_plan_and_no_rows(run, lake, subcommand):
    arguments = (subcommand, lake, "--select", "name", "--where", "id < 100", "--explain")
    text = run(*arguments).stdout
    assert "id < 100" in text
    assert "trip" not in text
    plan = json.loads(run(*arguments, "--json").stdout)
    assert plan["before"]["row_groups"] == 6
    assert plan["after"]["row_groups"] == 2


@pytest.mark.parametrize("scan", [(), ("--scan",)])
def test_stats_of_footers_and_of_a_scan(run, lake, scan):
    stats = json.loads(run("stats", lake, "--json", *scan).stdout)
    assert (stats["rows"], stats["scanned"]) == (2 * ROWS, bool(scan))
    found = {
        c["name"]: [c["nulls"], c["min"], c["max"], c["distinct"]]
        for c in stats["columns"]
    }
    distinct = [300, 200, 300, 2] if scan else [None] * 4
    assert found == {
        "id": [0, 0, 299, distinct[0]],
        "fare": [200, pytest.approx(0.1), pytest.approx(29.9), distinct[1]],
        "name": [0, "trip 0", "trip 99", distinct[2]],
        "year": [0, 2013, 2014, distinct[3]],
    }


def test_stats_of_a_filters_survivors(run, lake):
    text = run("stats", lake, "--select", "id,year", "--where", "id < 7 and year = 2013")
    lines = [line.split() for line in text.stdout.splitlines()]
    assert lines[2] == ["id", "int64", "0", "0", "6", "7"]
    assert lines[3] == ["year", "int32", "0", "2013", "2013", "1"]
    assert lines[4] == ["7", "rows,", "scanned"]


def test_stats_of_any_type_equal_pyarrows(run, tmp_path):
    columns = {
        "flag": pa.array([True, None, True]),
        "tiny": pa.array([3, -3, 3], pa.int8()),
        "large": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "nan": pa.array([float("nan"), 2.0, 1.0]),
        "money": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")]),
        "day": pa.array([datetime.date(2013, 2, 28), None, datetime.date(1969, 1, 1)]),
        "bytes": pa.array([b"\xff", b"\x01\x02", b"\xff"]),
        "code": pa.array(["b", "a", None]).dictionary_encode(),
        "list": pa.array([[1], None, [2, 3]]),
        "all_null": pa.array([None, None, None], pa.int32()),
    }
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path)
    scanned = json.loads(run("stats", path, "--scan", "--json").stdout)["columns"]
    expected = {
        "flag": [1, True, True, 1],
        "tiny": [0, -3, 3, 2],
        "large": [1, 0, 2**64 - 1, 2],
        "nan": [0, 1.0, 2.0, 3],
        "money": [1, "-2.25", "1.50", 2],
        "day": [1, "1969-01-01", "2013-02-28", 2],
        "bytes": [0, "AQI=", "/w==", 2],
        "code": [1, "a", "b", 2],
        "list": [1, None, None, None],
        "all_null": [3, None, None, 0],
    }
    assert {
        c["name"]: [c["nulls"], c["min"], c["max"], c["distinct"]] for c in scanned
    } == expected
    by_footer = json.loads(run("stats", path, "--json").stdout)["columns"]
    for column in by_footer:
        nulls, least, greatest, _ = expected[column["name"]]
        assert column["nulls"] in (nulls, None if column["name"] == "list" else nulls)
        assert column["min"] in (least, None)
        assert column["max"] in (greatest, None)


def test_stats_without_statistics_are_unknown(run, tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": [1, None]}), path, write_statistics=False)
    column = json.loads(run("stats", path, "--json").stdout)["columns"][0]
    assert (column["nulls"], column["min"], column["max"]) == (None, None, None)


def test_verify_of_a_whole_table_exits_with_0(run, lake):
    assert "no defects" in run("verify", lake).stdout
    report = json.loads(run("verify", lake, "--json").stdout)
    assert report["defects"] == []
    assert (report["files"], report["row_groups"]) == (2, 6)
    assert report["pages"] == report["pages_with_checksum"] > 0


def test_verify_names_each_defect_and_exits_with_1(run, lake, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(lake, copy)
    broken = copy / "year=2014" / "part-0.parquet"
    break_page(broken, 1, 2)
    break_page(broken, 2, 0)
    (copy / "year=2013" / "empty.parquet").touch()

    done = run("verify", copy, code=1)
    assert f'{broken}: row group 1, column "name": ' in done.stdout
    assert f'{broken}: row group 2, column "id": ' in done.stdout
    assert "empty.parquet: " in done.stdout
    assert done.stdout.endswith("3 defects\n")
    assert done.stderr == ""

    report = json.loads(run("verify", copy, "--json", code=1).stdout)
    found = [(d.get("row_group"), d.get("column")) for d in report["defects"]]
    assert found == [(None, None), (1, "name"), (2, "id")]


def test_bench_traces_and_names_the_bottleneck(run, lake, tmp_path):
    trace = tmp_path / "trace.json"
    text = run("bench", lake, "--select", "id,name", "--trace", trace).stdout
    assert " is the bottleneck: " in text.splitlines()[-1]
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"read", "fill", "assemble", "await"} <= {event["name"] for event in events}


def test_bench_delivers_every_row_once_an_epoch(run, lake):
    done = run("bench", lake, "--batch-size", 64, "--shuffle", "--epochs", 2, "--json")
    result = json.loads(done.stdout)
    assert result["rows"] == 2 * 2 * ROWS
    assert result["batches"] == 2 * -(-2 * ROWS // 64)
    assert result["rows_per_second"] > 0
    assert 0 < result["memory_peak"] <= result["stats"]["memory_budget"] == 2 << 30
    assert done.stderr == ""


@pytest.mark.parametrize("order", ["--shuffle", "--no-shuffle"])
@pytest.mark.parametrize("form", ["tensor", "arrow"])
def test_bench_filters_and_says_its_rate(run, lake, order, form):
    text = run(
        "bench",
        lake,
        order,
        "--to",
        form,
        "--where",
        "id < 10",
        "--memory-budget",
        "64MiB",
    ).stdout
    assert "rows/s" in text.splitlines()[0]
    assert "20 rows in 1 batches" in text
    assert "budget of 64.0 MiB" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "InvalidArgument: a subcommand is missing"),
        (["polish"], 2, "InvalidArgument: The following argument was not expected: polish"),
        (["head"], 2, "InvalidArgument: URI is required"),
        (["head", "{lake}", "-n", "-1"], 2, "InvalidArgument: --rows: found -1, expected"),
        (["bench", "{lake}", "--memory-budget", "1XB"], 2, "InvalidArgument: --memory-budget"),
        (["inspect", "{lake}", "--storage-option", "secret"], 2, "InvalidArgument: --storage-option"),
        (["inspect", "ftp://host/x"], 2, "InvalidArgument: "),
        (["inspect", "{lake}/absent"], 3, "NotFound: "),
        (["verify", "{lake}/absent"], 3, "NotFound: "),
        (["head", "{lake}", "--select", "nope"], 3, "NotFound: "),
        (["head", "{lake}", "--where", "nope = 1"], 3, "NotFound: "),
        (["inspect", "{foreign}"], 5, "Corrupt: "),
        (["inspect", "{lake}", "{foreign}"], 5, "SchemaMismatch: "),
        (["bench", "{lake}", "--memory-budget", "1KiB"], 7, "ResourceExhausted: memory_budget is 1024"),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_their_kind(run, lake, tmp_path, arguments, code, said):
    foreign = tmp_path / "foreign.parquet"
    foreign.write_bytes(b"this is no Parquet file")
    filled = [a.format(lake=lake, foreign=foreign) for a in arguments]
    assert error_line(run(*filled, code=code)).startswith(f"headrace: {said}")


def test_secrets_are_not_repeated(run, lake):
    done = run("inspect", lake, "--storage-option", "hunter2", code=2)
    assert "hunter2" not in done.stderr


def test_a_filter_that_does_not_parse_is_shown(run, lake):
    lines = run("head", lake, "--where", "id = = 1", code=2).stderr.splitlines()
    assert lines[0].startswith(
        "headrace: InvalidArgument: the filter does not parse at column"
    )
    assert lines[1].strip() == "id = = 1"
    assert lines[2].strip() == "^"


def test_a_reader_that_goes_away_ends_it_silently(binary, lake):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [binary, "head", str(lake), "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


def test_interrupt_exits_with_130_and_a_bar_shows_on_a_terminal(binary, lake, tmp_path):
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [binary, "bench", str(lake), "--epochs", "1000000000"],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env={**os.environ, "HEADRACE_CACHE_DIR": str(tmp_path)},
    )
    os.close(stderr)
    seen = b""
    while b"bench [" not in seen:
        seen += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    os.close(terminal)


def test_storage_that_does_not_answer_exits_with_6_and_ends_in_order(run):
    with socket.socket() as unanswered:
        unanswered.bind(("127.0.0.1", 0))  # and does not listen
        options = {
            "endpoint_override": f"127.0.0.1:{unanswered.getsockname()[1]}",
            "scheme": "http",
            "region": "us-east-1",
            "access_key": "of-a-test",
            "secret_key": "not-to-be-seen",
        }
        flags = [f"--storage-option={name}={value}" for name, value in options.items()]
        stderr = run("inspect", "s3://bucket/table", *flags, code=6).stderr
    # One line: nothing complains, or crashes, after main has returned.
    assert stderr.startswith("headrace: Unavailable: s3://bucket/table: ")
    assert stderr.count("\n") == 1
    assert "not-to-be-seen" not in stderr
