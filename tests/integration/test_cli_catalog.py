"""`headrace catalog`, and names in place of URIs."""

import json
from pathlib import Path

import catalog_checks
import pytest


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return catalog_checks.make_lake(tmp_path / "lake")


@pytest.fixture
def call(run, tmp_path: Path):
    """Runs headrace with a catalog of its own."""

    def in_catalog(*arguments, **options):
        place = str(tmp_path / "home/catalog.db")
        return run(*arguments, HEADRACE_CATALOG=place, **options)

    return in_catalog


def add(call, lake: Path):
    return call(
        "catalog", "add", "prod.flights", lake, "--description", "Departures",
        "--owner", "ana", "--comment", "delay=minutes = 60 s", "--tag", "first=0",
        "--partition-type", "month=int8",
    )  # fmt: skip


def test_an_entry_is_added_shown_and_forgotten(call, lake: Path) -> None:
    assert call("catalog", "ls", "--json").stdout == "[]\n"
    added = add(call, lake).stdout
    assert added.startswith("prod.flights\n  description     Departures\n")
    assert "\n  month  int8\n" in added
    assert "\n  delay  double  minutes = 60 s\n" in added
    assert call("catalog", "show", "prod.flights").stdout == added
    entry = json.loads(call("catalog", "show", "prod.flights", "--json").stdout)
    assert (entry["rows"], entry["owner"], entry["tags"]) == (6, "ana", {"first": 0})
    assert call("catalog", "rm", "prod.flights").stdout == (
        "prod.flights is out of the catalog; files stay\n"
    )
    assert call("catalog", "show", "prod.flights", code=3).stdout == ""


def test_tables_are_listed_and_found(call, lake: Path) -> None:
    add(call, lake)
    call("catalog", "add", "lab.january", lake / "month=1", LOGNAME="ben")
    lines = call("catalog", "ls").stdout.splitlines()
    assert lines[0].split() == [
        "name", "format", "version", "rows", "size", "owner", "description",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:]] == ["lab.january", "prod.flights"]
    assert lines[2].split()[-1] == "ben"

    def found(*wanted: str) -> list[str]:
        entries = json.loads(call("catalog", "find", *wanted, "--json").stdout)
        return [entry["name"] for entry in entries]

    assert found("minutes") == ["prod.flights"]
    assert found("--column", "ID") == ["lab.january", "prod.flights"]
    assert found("--tag", "first") == ["prod.flights"]
    assert found("jan", "--owner", "ana") == []


def test_a_tag_is_set_moved_and_forgotten(call, lake: Path) -> None:
    add(call, lake)
    call("catalog", "tag", "prod.flights", "train", "3")
    failed = call("catalog", "tag", "prod.flights", "train", "4", code=7)
    assert "Conflict: tag train" in failed.stderr
    moved = call("catalog", "tag", "prod.flights", "train", "4", "--replace", "--json")
    assert json.loads(moved.stdout) == {
        "name": "prod.flights",
        "tag": "train",
        "version": 4,
    }
    call("catalog", "rm", "prod.flights@train")
    entry = json.loads(call("catalog", "show", "prod.flights", "--json").stdout)
    assert entry["tags"] == {"first": 0}


def test_every_command_takes_names(call, run, lake: Path, tmp_path: Path) -> None:
    add(call, lake)
    assert "6" in call("inspect", "catalog:prod.flights").stdout
    rows = call("head", "catalog:prod.flights", "--where", "month = 2", "--json").stdout
    assert [json.loads(line)["id"] for line in rows.splitlines()] == [1, 2, 3]
    place = ["--catalog", tmp_path / "home/catalog.db"]
    assert run("stats", "catalog:prod.flights", *place).stdout
    assert run("catalog", "ls", *place).stdout.count("prod.flights") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["head", "catalog:prod.fligths"], 3, "it has prod.flights"),
        (["head", "catalog:prod.flights@no"], 3, "it has first"),
        (["catalog", "add", "a b", "x"], 2, "name of a table"),
        (["catalog", "add", "prod.flights", "LAKE"], 7, "already"),
        (["catalog", "add", "x", "LAKE", "--comment", "nothing"], 2, '"="'),
        (["catalog", "add", "x", "LAKE", "--comment", "no=such"], 3, 'column "no"'),
        (["catalog", "tag", "prod.flights", "a", "b"], 2, "expected a number"),
        (["catalog", "ls", "--catalog", "ftp://host/c"], 2, "thrift://"),
        (["catalog"], 2, "subcommand"),
        (["catalog", "add", "x", "s3://K:hunter2@b/t"], 2, "credential"),
    ],
)
def test_errors_are_one_line(call, lake: Path, arguments, code, said) -> None:
    add(call, lake)
    arguments = [lake if each == "LAKE" else each for each in arguments]
    failed = call(*arguments, code=code)
    assert failed.stdout == ""
    assert said in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert "hunter2" not in failed.stderr


def test_help_has_examples(run) -> None:
    text = run("catalog", "--help").stdout
    for command in ("ls", "add", "find", "show", "tag", "rm"):
        assert f"\n  {command} " in text
    assert text.count("  headrace catalog ") >= 3
