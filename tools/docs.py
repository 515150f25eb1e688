"""Keeps the documents true: `make docs`.

A block opened by "```python run" or "```sh run" is run; the blocks of a document share one
process for each language, in a folder where lake/flights lies. Links between documents, and
documents that sources name, must be there.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from tidy import ROOT, Tree

FENCE = re.compile(r"^```(\w*)(.*)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# Documents that sources, scripts and other documents speak of by path.
NAMED = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.md)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: where its text begins (from 1), what it is, and whether to run it."""

    line: int
    language: str
    run: bool
    text: str


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document."""
    found: list[Block] = []
    opened: tuple[int, str, bool] | None = None
    body: list[str] = []
    for number, line in enumerate(document.splitlines(), start=1):
        fence = FENCE.match(line)
        if fence is None:
            body.append(line)
        elif opened is None:
            opened = (number + 1, fence[1], "run" in fence[2].split())
            body = []
        else:
            found.append(Block(*opened, "\n".join(body) + "\n"))
            opened = None
    return found


def script(document: str, language: str) -> str:
    """The runnable blocks of a language, each at its own line, so that errors point there."""
    lines: list[str] = []
    for block in blocks(document):
        if block.run and block.language == language:
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.text.splitlines()
    return "\n".join(lines) + "\n" if lines else ""


def make_lake(folder: Path) -> None:
    """lake/flights as the documents know it: 2,400 rows in Hive partitions by year, month."""
    carriers, origins = ("AA", "B6", "DL", "EV", "UA"), ("EWR", "JFK", "LGA")
    for month in range(1, 13):
        rows = range(200)
        table = pa.table(
            {
                "dep_delay": pa.array(
                    [None if i % 40 == 0 else float(i % 60 - 10) for i in rows],
                    pa.float64(),
                ),
                "arr_delay": pa.array([float(i * 7 % 90 - 20) for i in rows]),
                "distance": pa.array([100 + i * 13 % 2500 for i in rows], pa.int32()),
                "hour": pa.array([5 + (i + month) % 19 for i in rows], pa.int32()),
                "carrier": [carriers[i % 5] for i in rows],
                "origin": [origins[i % 3] for i in rows],
            }
        )
        path = folder / f"lake/flights/year=2013/month={month}/part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table, path, row_group_size=64)


def run_document(path: Path) -> str:
    """Runs a document's blocks in a fresh folder; what went wrong, or nothing."""
    document = path.read_text(encoding="utf-8")
    python, shell = script(document, "python"), script(document, "sh")
    if not python and not shell:
        return ""
    commands = []
    # compile() under the document's own name and lines: a traceback then points into it.
    runner = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'), {})"
    if python:
        commands.append(([sys.executable, "-c", runner, str(path)], python))
    if shell:
        commands.append((["bash", "-euo", "pipefail"], shell))
    environment = dict(os.environ)
    environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        make_lake(Path(folder))
        for command, text in commands:
            done = subprocess.run(
                command,
                input=text,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            if done.returncode:
                return f"{path.name}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return ""


def anchors(document: str) -> set[str]:
    """The names of a document's headings, as hosts make them."""
    without_code = re.sub(r"^```.*?^```", "", document, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?) *$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def check_links(tree: Tree) -> list[str]:
    """Links of documents that lead nowhere."""
    bad = []
    for path in tree.select(".md"):
        text = tree.text(path)
        for number, line in enumerate(text.splitlines(), start=1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                other = PurePosixPath(os.path.normpath(PurePosixPath(path).parent / name))
                where = path if not name else other.as_posix()
                if not (tree.root / where).exists():
                    bad.append(f"{path}:{number}: {target}: there is no {where}")
                elif anchor and anchor not in anchors(tree.text(where)):
                    bad.append(f"{path}:{number}: {target}: {where} has no such heading")
    return bad


def check_named(tree: Tree) -> list[str]:
    """Documents that a file names by path and that are not there."""
    return [
        f"{path}:{number}: names {name}, which is not there"
        for path in tree.select(".h", ".cc", ".py", ".pyi", ".md", ".sh", ".txt", ".toml")
        if not path.startswith("tests/")
        for number, line in enumerate(tree.text(path).splitlines(), start=1)
        for name in NAMED.findall(line)
        if name not in tree.paths
    ]


def runnable(tree: Tree) -> list[str]:
    """Documents with blocks that are to be run."""
    return [
        path
        for path in tree.select(".md")
        if any(block.run for block in blocks(tree.text(path)))
    ]


def main() -> int:
    """Runs and checks all documents."""
    tree = Tree.of_git(ROOT)
    bad = check_links(tree) + check_named(tree)
    documents = runnable(tree)
    bad += [found for path in documents if (found := run_document(ROOT / path))]
    for line in bad:
        print(line)
    print(f"docs: {len(documents)} documents ran; {len(bad)} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
