"""Each house rule of tools/tidy.py catches the fault that it is there for."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tidy

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "tools/layers.toml").read_text())


MakeTree = Callable[[dict[str, str]], Any]


@pytest.fixture
def tree(tmp_path: Path) -> MakeTree:
    """Makes a tree of files from their texts by path."""

    def make(files: dict[str, str]) -> Any:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tidy.Tree(tmp_path, sorted(files), RULES)

    return make


def test_the_project_itself_has_a_level_for_every_folder() -> None:
    assert tidy.check_cpp_layers(tidy.Tree.of_git(ROOT)) == []


@pytest.mark.parametrize(
    ("folder", "target"),
    [
        ("base", "table/table.h"),  # upwards
        ("schema", "storage/storage.h"),  # between siblings of level 1
        ("reader", "batch/collate.h"),  # between siblings of level 4
        ("plan", "pipeline/pipeline.h"),
    ],
)
def test_cpp_layers_refuses_an_include_that_is_not_lower(
    tree: MakeTree, folder: str, target: str
) -> None:
    found = tidy.check_cpp_layers(
        tree({f"src/{folder}/a.cc": f'\n#include "{target}"\n'})
    )
    assert len(found) == 1
    assert found[0].startswith(f"src/{folder}/a.cc:2: {folder} (level ")


def test_cpp_layers_allows_lower_own_and_public(tree: MakeTree) -> None:
    text = (
        '#include <headrace/loader.h>\n#include "base/hash.h"\n#include "table/table.h"\n'
    )
    assert tidy.check_cpp_layers(tree({"src/table/a.cc": text})) == []


def test_cpp_layers_refuses_unknown_folders_and_bare_includes(tree: MakeTree) -> None:
    found = tidy.check_cpp_layers(
        tree({"src/helpers/a.cc": "", "src/base/a.cc": '#include "hash.h"\n'})
    )
    assert "folder/file.h" in found[0]
    assert "'helpers' has no level" in found[1]


@pytest.mark.parametrize("folder", ["include/headrace", "apps/headrace", "python/ext"])
def test_cpp_outside_refuses_internal_headers(tree: MakeTree, folder: str) -> None:
    found = tidy.check_cpp_outside(tree({f"{folder}/a.cc": '#include "table/table.h"\n'}))
    assert len(found) == 1
    assert "internal" in found[0]


def test_cpp_outside_allows_own_headers_and_third_parties(tree: MakeTree) -> None:
    text = '#include <headrace/loader.h>\n#include <arrow/api.h>\n#include "command.h"\n'
    made = tree({"apps/headrace/a.cc": text, "apps/headrace/command.h": ""})
    assert tidy.check_cpp_outside(made) == []


def test_cpp_pure_refuses_io_and_clocks(tree: MakeTree) -> None:
    text = "#include <chrono>\n#include <arrow/io/interfaces.h>\n#include <vector>\n"
    found = tidy.check_cpp_pure(tree({"src/plan/a.cc": text, "src/table/a.cc": text}))
    assert [complaint.split(": ")[0] for complaint in found] == [
        "src/plan/a.cc:1",
        "src/plan/a.cc:2",
    ]


def test_cpp_peers_refuses_arrow_dataset_outside_tests(tree: MakeTree) -> None:
    text = "#include <arrow/dataset/scanner.h>\n"
    found = tidy.check_cpp_peers(
        tree({"src/table/a.cc": text, "src/table/a_test.cc": text})
    )
    assert [complaint.split(":")[0] for complaint in found] == ["src/table/a.cc"]


@pytest.mark.parametrize(
    "line",
    [
        'auto home = std::getenv("HOME");',
        'throw std::runtime_error("no");',
        "std::jthread worker(run);",
        "auto done = std::async(run);",
        "std::cerr << 1;",
        'printf("%d", 1);',
        "std::shuffle(a, b, c);",
    ],
)
def test_banned_calls_are_found_in_the_library_not_in_tests(
    tree: MakeTree, line: str
) -> None:
    found = tidy.check_banned_calls(
        tree({"src/table/a.cc": line, "src/table/a_test.cc": line})
    )
    assert len(found) == 1
    assert found[0].startswith("src/table/a.cc:1: ")


def test_banned_calls_stand_where_they_belong(tree: MakeTree) -> None:
    made = tree(
        {
            "src/pipeline/a.cc": "std::jthread worker(run);\n",
            "src/base/a.cc": "int n = std::thread::hardware_concurrency();\n",
            "apps/headrace/a.cc": 'std::cout << std::getenv("COLUMNS");\n',
            "python/ext/a.cc": "throw nb::python_error();\n",
        }
    )
    assert tidy.check_banned_calls(made) == []


def test_banned_calls_ignores_comments_and_literals(tree: MakeTree) -> None:
    text = "// throw\n/* throw\n throw */ int n = 1'000'000;\nauto s = \"throw\";\n"
    assert tidy.check_banned_calls(tree({"src/base/a.cc": text})) == []
    after = text + "char c = '\\'';\nthrow c;\n"
    assert tidy.check_banned_calls(tree({"src/base/a.cc": after}))[0].startswith(
        "src/base/a.cc:6: "
    )


def test_dead_headers_are_found(tree: MakeTree) -> None:
    made = tree(
        {
            "src/base/used.h": "",
            "src/base/dead.h": "",
            "src/base/a.cc": '#include "base/used.h"\n',
        }
    )
    assert [complaint.split(":")[0] for complaint in tidy.check_dead_headers(made)] == [
        "src/base/dead.h"
    ]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("schema", "import headrace.torch\n"),
        ("schema", "from . import torch\n"),
        ("schema", "def f():\n    from .torch import dataset\n"),
        ("torch/dataset", "from ..jax import arrays\n"),
        ("spark/convert", "from headrace.estimator import fit\n"),
        ("schema", "import importlib\nimportlib.import_module('headrace.gang')\n"),
    ],
)
def test_python_layers_refuses_an_import_that_is_not_lower(
    tree: MakeTree, module: str, text: str
) -> None:
    found = tidy.check_python_layers(tree({f"python/headrace/{module}.py": text}))
    assert len(found) == 1
    assert "only lower levels" in found[0]


def test_python_layers_allows_lower_and_own(tree: MakeTree) -> None:
    made = tree(
        {
            "python/headrace/loader.py": "from headrace import _native\n",
            "python/headrace/torch/dataset.py": "from .. import loader\n",
        }
    )
    assert tidy.check_python_layers(made) == []


def test_python_frameworks_belong_to_their_adapter(tree: MakeTree) -> None:
    text = "import torch.utils.data\n"
    made = tree(
        {
            "python/headrace/loader.py": "def f():\n    " + text,
            "python/headrace/torch/dataset.py": text,
        }
    )
    found = tidy.check_python_frameworks(made)
    assert [complaint.split(":")[0] for complaint in found] == [
        "python/headrace/loader.py"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import deltalake\n",
        "import pyarrow.dataset as ds\n",
        "from pyarrow import dataset\n",
        "from petastorm.reader import Reader\n",
        "__import__('duckdb')\n",
    ],
)
def test_python_peers_are_refused(tree: MakeTree, text: str) -> None:
    assert len(tidy.check_python_peers(tree({"python/headrace/schema.py": text}))) == 1


def test_python_peers_may_be_allowed_by_an_entry_with_a_reason(tree: MakeTree) -> None:
    made = tree(
        {
            "python/headrace/dataset.py": "import polars\n",
            "python/headrace/schema.py": "import polars\n",
        }
    )
    found = tidy.check_python_peers(made)
    assert [complaint.split(":")[0] for complaint in found] == [
        "python/headrace/schema.py"
    ]
    assert all(entry["reason"] for entry in RULES["python"]["allow"])


def test_sizes_refuses_long_sources_and_big_files(tree: MakeTree) -> None:
    made = tree(
        {
            "src/base/long.cc": "\n" * 601,
            "src/base/fits.cc": "\n" * 600,
            "tests/big.bin": "x" * ((1 << 20) + 1),
        }
    )
    found = tidy.check_sizes(made)
    assert [complaint.split(":")[0] for complaint in found] == [
        "src/base/long.cc",
        "tests/big.bin",
    ]


def test_notes_to_self_need_an_issue(tree: MakeTree) -> None:
    note = "TO" + "DO"
    made = tree({"src/base/a.cc": f"// {note}: later\n// {note}(#7): later\n"})
    assert [c.split(": ")[0] for c in tidy.check_notes_to_self(made)] == [
        "src/base/a.cc:1"
    ]


def test_names_of_machines_and_registries_are_refused(tree: MakeTree) -> None:
    made = tree(
        {
            "tools/a.sh": "cd /" + "home/someone/project\n",
            "tools/b.sh": "cd docs/home/page\ncurl https://example.org/home/x\n",
            "tools/c.txt": "x\n--index" + "-url=x\n",
            "tools/d.md": "https://pypi" + ".org/simple\n",
        }
    )
    assert [c.split(": ")[0] for c in tidy.check_machine_names(made)] == [
        "tools/a.sh:1",
        "tools/c.txt:2",
        "tools/d.md:1",
    ]


def test_readmes_must_be_there_and_short(tree: MakeTree) -> None:
    made = tree(
        {
            "src/base/a.cc": "",
            "src/plan/a.cc": "",
            "src/plan/README.md": "\n" * 31,
            "src/table/a.cc": "",
            "src/table/README.md": "What it is for.\n",
            "tools/a.sh": "",
        }
    )
    found = tidy.check_readmes(made)
    assert [complaint.split(":")[0] for complaint in found] == [
        "src/base/README.md",
        "src/plan/README.md",
        "tools/README.md",
    ]


def test_clang_format_finds_a_badly_set_file(tree: MakeTree) -> None:
    made = tree({"src/base/a.cc": "int  f( ) {return 1 ;}\n"})
    assert any(
        "clang-format-violations" in line for line in tidy.check_clang_format(made)
    )
    assert (
        tidy.check_clang_format(tree({"src/base/a.cc": "int f() { return 1; }\n"})) == []
    )


def with_settings(made: Any) -> Any:
    (made.root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return made


def test_ruff_finds_a_print_in_the_package(tree: MakeTree) -> None:
    text = '"""A module."""\n\nprint("hello")\n'
    made = with_settings(tree({"python/headrace/a.py": text, "tools/a.py": text}))
    found = tidy.check_ruff(made)
    assert [
        line for line in found if "T201" in line and line.startswith("python/")
    ] == found
    assert len(found) == 1


def test_ruff_format_finds_a_badly_set_file(tree: MakeTree) -> None:
    made = with_settings(tree({"python/headrace/a.py": "x = {  'a':1 }\n"}))
    assert tidy.check_ruff_format(made) != []


def test_mypy_finds_a_wrong_type(tree: MakeTree) -> None:
    made = with_settings(
        tree(
            {
                "python/headrace/__init__.py": "",
                "python/headrace/a.py": "def f(x: int) -> str:\n    return x\n",
            }
        )
    )
    assert any("Incompatible return value" in line for line in tidy.check_mypy(made))


def test_the_command_fails_on_a_complaint_and_refuses_unknown_checks() -> None:
    def run(check: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "tools/tidy.py", check],
            capture_output=True,
            text=True,
        )

    assert run("cpp_layers").returncode == 0
    assert run("no_such_check").returncode == 2
