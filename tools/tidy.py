"""House rules that no linter knows, and the linters: `make tidy`.

Each check is a function from a Tree to a list of complaints ("path:line: what, and what
to do"); tests/tools/test_tidy.py shows each of them catching a fault.
"""

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINES_MAX = 600
README_LINES_MAX = 30
BYTES_MAX = 1 << 20

CPP = (".cc", ".h")
SOURCES = (".cc", ".h", ".py", ".sh", ".cmake")
TEXTS = (*SOURCES, ".md", ".toml", ".txt", ".json", ".yml")
# Folders of our own that tell a reader what they are for. Every folder of src/ does, too.
WITH_README = (
    "include/headrace", "apps/headrace", "python/ext", "python/headrace",
    "tests", "bench", "fuzz", "examples", "tools",
)  # fmt: skip


@dataclass
class Tree:
    """Files below a root, by relative path, and the rules that hold for them."""

    root: Path
    paths: list[str]
    rules: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_git(cls, root: Path) -> "Tree":
        """What git tracks, and what it would if added."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, check=True, capture_output=True, text=True,
        )  # fmt: skip
        paths = sorted({path for path in listed.stdout.split("\0") if path})
        rules = tomllib.loads((root / "tools/layers.toml").read_text())
        return cls(root, [path for path in paths if (root / path).is_file()], rules)

    def select(self, *suffixes: str, under: str = "") -> Iterator[str]:
        """Paths with one of the suffixes, below a folder."""
        for path in self.paths:
            if path.endswith(suffixes) and path.startswith(under):
                yield path

    def text(self, path: str) -> str:
        """A file's text."""
        return (self.root / path).read_text(encoding="utf-8")

    @cached_property
    def includes(self) -> dict[str, list[tuple[int, str, bool]]]:
        """Line, target and whether quoted, of each #include of each C++ file."""
        pattern = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
        found: dict[str, list[tuple[int, str, bool]]] = {}
        for path in self.select(*CPP):
            lines = enumerate(self.text(path).splitlines(), start=1)
            matches = ((number, pattern.match(line)) for number, line in lines)
            found[path] = [(n, m[2], m[1] == '"') for n, m in matches if m is not None]
        return found

    @cached_property
    def imports(self) -> dict[str, list[tuple[int, str]]]:
        """Line and absolute name of each import of each module of the Python package."""
        return {
            path: list(
                imported_names(ast.parse(self.text(path), path), module_parts(path))
            )
            for path in self.select(".py", under="python/headrace/")
        }


def is_test(path: str) -> bool:
    """Whether a C++ file is a test, a benchmark or a fuzz target."""
    return path.endswith(("_test.cc", "_benchmark.cc", "_fuzz.cc")) or path.startswith(
        "tests/"
    )


def module_parts(path: str) -> tuple[str, ...]:
    """The package of python/headrace/a/b.py: what relative imports start from."""
    return PurePosixPath(path).parent.parts[1:]


def module_level_name(path: str) -> str:
    """The first name below `headrace`: torch for python/headrace/torch/dataset.py."""
    return PurePosixPath(path).with_suffix("").parts[2]


def imported_names(
    module: ast.Module, package: tuple[str, ...]
) -> Iterator[tuple[int, str]]:
    """Absolute dotted names that a module imports anywhere, import_module included."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*prefix, alias.name])
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            first = node.args[0]
            if (
                called in ("import_module", "__import__")
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                yield node.lineno, first.value


def is_within(name: str, packages: list[str]) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def code_only(text: str) -> str:
    """C++ text with comments and literals blanked, line numbers kept."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL,
    )
    return pattern.sub(lambda match: "\n" * match[0].count("\n"), text)


def check_cpp_layers(tree: Tree) -> list[str]:
    """A folder of src/ includes only folders of a lower level."""
    levels = tree.rules["cpp"]["levels"]
    bad = []
    for path in tree.select(*CPP, under="src/"):
        folder = path.split("/")[1]
        if folder not in levels:
            bad.append(
                f"{path}:1: folder '{folder}' has no level; add it to tools/layers.toml"
            )
            continue
        for line, target, quoted in tree.includes[path]:
            if not quoted or (is_test(path) and target.startswith("tests/cpp/")):
                continue
            other = target.split("/")[0]
            if other not in levels:
                bad.append(
                    f'{path}:{line}: include "{target}" as "folder/file.h", from src/'
                )
            elif other != folder and levels[other] >= levels[folder]:
                bad.append(
                    f"{path}:{line}: {folder} (level {levels[folder]}) includes {other} "
                    f"(level {levels[other]}): only lower levels may be included"
                )
    return bad


def check_cpp_outside(tree: Tree) -> list[str]:
    """Public headers, apps, bindings and examples see the public headers alone."""
    levels = tree.rules["cpp"]["levels"]
    bad = []
    for folder in tree.rules["cpp"]["outside"]["folders"]:
        for path in tree.select(*CPP, under=folder + "/"):
            for line, target, quoted in tree.includes[path]:
                own = (
                    quoted
                    and (PurePosixPath(path).parent / target).as_posix() in tree.paths
                )
                if not own and target.split("/")[0] in levels:
                    bad.append(
                        f"{path}:{line}: includes {target}, which is internal; "
                        f"{folder} may include <headrace/...> and third parties only"
                    )
    return bad


def check_cpp_pure(tree: Tree) -> list[str]:
    """The pure folders do no I/O and read no clock."""
    pure = tree.rules["cpp"]["pure"]
    return [
        f"{path}:{line}: includes <{target}>: {folder} does no I/O and reads no clock"
        for folder in pure["folders"]
        for path in tree.select(*CPP, under=f"src/{folder}/")
        if not is_test(path)
        for line, target, _ in tree.includes[path]
        if target.startswith(tuple(pure["forbidden"]))
    ]


def check_cpp_peers(tree: Tree) -> list[str]:
    """No product code includes a peer."""
    return [
        f"{path}:{line}: includes {target}: peers are for tests and benchmarks"
        for path, includes in tree.includes.items()
        if path.startswith(("src/", "include/", "apps/", "python/")) and not is_test(path)
        for line, target, _ in includes
        if target.startswith(tuple(tree.rules["peers"]["cpp"]))
    ]


@dataclass(frozen=True)
class BannedCall:
    """A call, the folders where it may stand, and what to do elsewhere."""

    pattern: str
    advice: str
    allowed: tuple[str, ...] = ()


BANNED_CALLS = (
    BannedCall(
        r"\bgetenv\b",
        "environment variables are read in apps and python only",
        # What the clouds' own libraries look up, and Arrow keeps to itself.
        ("apps/", "python/", "src/storage/environment.cc"),
    ),
    BannedCall(
        r"\bthrow\b",
        "return Error(kind, message): Headrace never throws",
        # nanobind hands a Python exception on by a C++ one, as Thrift does with failures of
        # connections; metastore.cc catches them all.
        ("python/ext/", "src/catalog/hive/"),
    ),
    BannedCall(
        r"\bstd::j?thread\b(?!::)|\bstd::async\b|\bpthread_create\b",
        "threads belong to src/pipeline and src/gang; take a base::Executor",
        ("src/pipeline/", "src/gang/"),
    ),
    BannedCall(
        r"\bstd::c(?:out|err)\b|\b(?:std::)?f?printf\s*\(",
        "the library prints nothing",
        ("apps/", "src/catalog/hive/thrift_runtime.cc"),  # there it is taken from Thrift
    ),
    BannedCall(
        r"\bstd::(?:random_device|mt19937|shuffle)\b|\bs?rand\s*\(",
        "randomness is keyed: base/random.h",
    ),
)


def check_banned_calls(tree: Tree) -> list[str]:
    """Calls that break a promise of the house."""
    bad = []
    for path in tree.select(*CPP):
        if not path.startswith(("src/", "include/", "apps/", "python/")) or is_test(path):
            continue
        for number, line in enumerate(code_only(tree.text(path)).splitlines(), start=1):
            for call in BANNED_CALLS:
                found = re.search(call.pattern, line)
                if found and not path.startswith(call.allowed):
                    bad.append(f"{path}:{number}: {found[0].strip()}: {call.advice}")
    return bad


def check_dead_headers(tree: Tree) -> list[str]:
    """Every header of src/ is included by some file."""
    included = {
        target for includes in tree.includes.values() for _, target, _ in includes
    }
    return [
        f"{path}:1: no file includes this header; delete it"
        for path in tree.select(".h", under="src/")
        if path.removeprefix("src/") not in included
    ]


def allowed_imports(tree: Tree, module: str) -> list[str]:
    """What a Python module may import beyond the rules."""
    entries = tree.rules["python"].get("allow", [])
    return [entry["imports"] for entry in entries if entry["module"] == module]


def check_python_layers(tree: Tree) -> list[str]:
    """A module of the package imports only modules of a lower level."""
    levels = tree.rules["python"]["levels"]
    bad = []
    for path, imports in tree.imports.items():
        module = module_level_name(path)
        level = levels.get(module, levels["core"])
        for line, name in imports:
            parts = name.split(".")
            if parts[0] != "headrace" or is_within(name, allowed_imports(tree, module)):
                continue
            other = parts[1] if len(parts) > 1 else ""
            other_level = levels.get(other, levels["core"])
            if other != module and other in levels and other_level >= level:
                bad.append(
                    f"{path}:{line}: {module} (level {level}) imports headrace.{other} "
                    f"(level {other_level}): only lower levels may be imported"
                )
    return bad


def check_python_frameworks(tree: Tree) -> list[str]:
    """A framework is imported by its adapter alone."""
    frameworks = tree.rules["python"]["frameworks"]
    bad = []
    for path, imports in tree.imports.items():
        module = module_level_name(path)
        for line, name in imports:
            for adapter, packages in frameworks.items():
                if (
                    is_within(name, packages)
                    and module != adapter
                    and not is_within(name, allowed_imports(tree, module))
                ):
                    bad.append(
                        f"{path}:{line}: imports {name}: only headrace/{adapter} may"
                    )
    return bad


def check_python_peers(tree: Tree) -> list[str]:
    """No product code imports a peer."""
    peers = tree.rules["peers"]["python"]
    return [
        f"{path}:{line}: imports {name}: peers are for tests and benchmarks"
        for path, imports in tree.imports.items()
        for line, name in imports
        if is_within(name, peers)
        and not is_within(name, allowed_imports(tree, module_level_name(path)))
    ]


def check_sizes(tree: Tree) -> list[str]:
    """Source files stay readable, and nothing big is committed."""
    bad = []
    for path in tree.select(*SOURCES):
        lines = tree.text(path).count("\n")
        if lines > LINES_MAX:
            bad.append(
                f"{path}:{LINES_MAX}: {lines} lines, at most {LINES_MAX}: split it"
            )
    for path in tree.paths:
        size = (tree.root / path).stat().st_size
        if size > BYTES_MAX:
            bad.append(
                f"{path}:1: {size} bytes, at most {BYTES_MAX}: make it by a script"
            )
    return bad


def check_notes_to_self(tree: Tree) -> list[str]:
    """A note about work left over names the issue it is kept in."""
    pattern = re.compile(
        r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b(?!\(#\d+\))"
    )  # not to find itself
    return [
        f"{path}:{number}: {found[1]} without an issue, as in {found[1]}(#12)"
        for path in tree.select(*TEXTS)
        for number, line in enumerate(tree.text(path).splitlines(), start=1)
        if (found := pattern.search(line)) is not None
    ]


def check_machine_names(tree: Tree) -> list[str]:
    """No file names a path of somebody's machine, or where its packages come from."""
    path_of_machine = r"(?<![\w.:/~}*])/(?:home|root|work|Users)/[\w.]"
    registry = r"\b(?:pypi|pythonhosted|debian|npmjs)\.org\b|index[-]url"
    pattern = re.compile(f"{path_of_machine}|{registry}")
    return [
        f"{path}:{number}: {found[0]}: holds for one machine only"
        for path in tree.select(*TEXTS)
        for number, line in enumerate(tree.text(path).splitlines(), start=1)
        if (found := pattern.search(line)) is not None
    ]


def check_readmes(tree: Tree) -> list[str]:
    """Each folder opens with a short README."""
    folders = {"/".join(path.split("/")[:2]) for path in tree.select(*CPP, under="src/")}
    for folder in WITH_README:
        if any(path.startswith(folder + "/") for path in tree.paths):
            folders.add(folder)
    bad = []
    for folder in sorted(folders):
        readme = f"{folder}/README.md"
        if readme not in tree.paths:
            bad.append(
                f"{readme}:1: missing: what the folder is for, may depend on, promises"
            )
        elif (lines := tree.text(readme).count("\n")) > README_LINES_MAX:
            bad.append(f"{readme}:1: {lines} lines, at most {README_LINES_MAX}")
    return bad


def run_tool(tree: Tree, *command: str) -> list[str]:
    """Runs a linter of the project's environment; its output is the complaint."""
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]], cwd=tree.root, capture_output=True, text=True
    )
    if done.returncode == 0:
        return []
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def check_clang_format(tree: Tree) -> list[str]:
    """C++ is formatted."""
    files = list(tree.select(*CPP))
    return run_tool(tree, "clang-format", "--dry-run", "-Werror", *files) if files else []


def check_ruff(tree: Tree) -> list[str]:
    """Python is linted."""
    files = list(tree.select(".py"))
    return run_tool(tree, "ruff", "check", "--quiet", "--output-format=concise", *files)


def check_ruff_format(tree: Tree) -> list[str]:
    """Python is formatted."""
    return run_tool(tree, "ruff", "format", "--check", "--quiet", *tree.select(".py"))


def check_mypy(tree: Tree) -> list[str]:
    """The package's types hold."""
    if not any(tree.select(".py", under="python/headrace/")):
        return []
    return run_tool(tree, "mypy", "--no-error-summary")


CHECKS: tuple[Callable[[Tree], list[str]], ...] = (
    check_cpp_layers,
    check_cpp_outside,
    check_cpp_pure,
    check_cpp_peers,
    check_banned_calls,
    check_dead_headers,
    check_python_layers,
    check_python_frameworks,
    check_python_peers,
    check_sizes,
    check_notes_to_self,
    check_machine_names,
    check_readmes,
    check_clang_format,
    check_ruff,
    check_ruff_format,
    check_mypy,
)


def fix(tree: Tree) -> None:
    """Mends what tools can mend; the checks then tell what is left."""
    run_tool(tree, "clang-format", "-i", *tree.select(*CPP))
    run_tool(tree, "ruff", "check", "--fix", "--quiet", *tree.select(".py"))
    run_tool(tree, "ruff", "format", "--quiet", *tree.select(".py"))


def main() -> int:
    """Runs all checks, or those named; prints what they find."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "checks", nargs="*", help="names without check_, for example mypy"
    )
    parser.add_argument(
        "--fix", action="store_true", help="format, and mend what ruff can"
    )
    arguments = parser.parse_args()
    wanted = {f"check_{name}" for name in arguments.checks}
    unknown = wanted - {check.__name__ for check in CHECKS}
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    chosen = [check for check in CHECKS if not wanted or check.__name__ in wanted]
    tree = Tree.of_git(ROOT)
    if arguments.fix:
        fix(tree)
    with ThreadPoolExecutor() as pool:
        complaints = list(pool.map(lambda check: check(tree), chosen))
    failed = 0
    for check, found in zip(chosen, complaints, strict=True):
        for line in found:
            print(line)
        if found:
            failed += 1
            print(f"tidy: {check.__name__.removeprefix('check_')}: {check.__doc__}\n")
    print(f"tidy: {len(chosen) - failed} checks passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
