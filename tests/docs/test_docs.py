"""The documents are true: their code runs and their links lead somewhere."""

import re
from pathlib import Path

import pytest
from tidy import ROOT, Tree

import docs

TREE = Tree.of_git(ROOT)


@pytest.mark.parametrize("path", docs.runnable(TREE))
def test_the_code_of_a_document_runs(path: str) -> None:
    assert docs.run_document(ROOT / path) == ""


def test_links_of_all_documents_lead_somewhere() -> None:
    assert docs.check_links(TREE) == []


def test_documents_that_sources_name_are_there() -> None:
    assert docs.check_named(TREE) == []


def test_source_files_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"(?<![\w/.-])([\w./-]+\.(?:h|cc|py|pyi|toml))\b", text)
    known = [f"/{path}" for path in TREE.paths]
    placeholders = {"x_test.cc", "x_benchmark.cc"}
    missing = [
        name
        for name in named
        if "NAME" not in name
        and name not in placeholders
        and not any(path.endswith(f"/{name}") for path in known)
    ]
    assert len(named) > 50
    assert missing == []


def test_every_error_kind_has_a_page_and_every_page_a_kind() -> None:
    header = (ROOT / "include/headrace/result.h").read_text()
    enumeration = re.search(r"enum class ErrorKind \{(.*?)\};", header, re.DOTALL)
    assert enumeration is not None
    kinds = re.findall(r"^\s*k(\w+),", enumeration[1], re.MULTILINE)
    assert len(kinds) == 12
    pages = {path.stem: path for path in (ROOT / "docs/errors").glob("*.md")}
    del pages["README"]
    assert set(pages) == set(kinds)
    for kind, page in pages.items():
        assert page.read_text().startswith(f"# {kind}\n")


def document(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_blocks_of_one_language_share_a_process_and_the_lake(tmp_path: Path) -> None:
    text = (
        "```python run\nimport pathlib\nlake = pathlib.Path('lake/flights')\n```\n"
        "```python run\nassert len(list(lake.rglob('*.parquet'))) == 12\n```\n"
        "```sh run\ntest -d lake/flights\n```\n"
    )
    assert docs.run_document(document(tmp_path, text)) == ""


def test_a_failing_block_is_reported_at_its_line(tmp_path: Path) -> None:
    text = "# Title\n\n```python run\nx = 1\n```\n\ntext\n\n```python run\n\nassert x == 2\n```\n"
    found = docs.run_document(document(tmp_path, text))
    assert 'page.md", line 11' in found
    assert "AssertionError" in found


def test_a_failing_command_is_reported(tmp_path: Path) -> None:
    found = docs.run_document(document(tmp_path, "```sh run\nfalse\ntrue\n```\n"))
    assert found.startswith("page.md: exit 1")


def test_blocks_that_are_not_marked_do_not_run(tmp_path: Path) -> None:
    assert docs.run_document(document(tmp_path, "```python\n1 / 0\n```\n")) == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](missing.md)", "there is no docs/missing.md"),
        ("[a](../README.md#no-such)", "README.md has no such heading"),
        ("[a](#no-such)", "docs/page.md has no such heading"),
    ],
)
def test_dead_links_are_found(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# The `name`, and more\n")
    (tmp_path / "docs/page.md").write_text(
        f"{text} [b](../README.md#the-name-and-more) [c](https://example.org/x)\n"
    )
    found = docs.check_links(Tree(tmp_path, ["README.md", "docs/page.md"]))
    assert len(found) == 1
    assert complaint in found[0]


def test_documents_that_are_named_and_missing_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text("/// See docs/guide/none.md.\n/// And docs/there.md.\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/there.md").write_text("")
    tree = Tree(tmp_path, ["a.h", "docs/there.md"])
    assert docs.check_named(tree) == [
        "a.h:1: names docs/guide/none.md, which is not there"
    ]
