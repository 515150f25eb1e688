"""Runs clang-tidy over the product's files of a compile_commands.json, several at a time.

A file that passed is not looked at again until it, a header, its command or the checks
change. The result is also a JUnit report, build/clang-tidy/report.xml.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from tidy import ROOT, Tree, is_test

FOLDERS = ("src/", "apps/", "python/ext/")


def common_digest(tree: Tree) -> bytes:
    """What every file's result depends on: checks, tools, headers."""
    digest = hashlib.sha256()
    for path in [".clang-tidy", "tools/requirements.txt", *tree.select(".h")]:
        digest.update(path.encode() + b"\0" + (tree.root / path).read_bytes())
    return digest.digest()


def complaints(build: Path, path: str) -> str:
    """What clang-tidy says of one file; empty if nothing."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "clang-tidy"),
            f"-p={build}",
            "--quiet",
            "--extra-arg=-Wno-unknown-warning-option",
            str(ROOT / path),
        ],
        capture_output=True,
        text=True,
    )
    return (done.stdout + done.stderr) if done.returncode else ""


def report(results: dict[str, str], path: Path) -> None:
    """Writes the results as JUnit."""
    suite = ElementTree.Element("testsuite", name="clang-tidy")
    for name, text in results.items():
        case = ElementTree.SubElement(
            suite, "testcase", classname="clang-tidy", name=name
        )
        if text:
            ElementTree.SubElement(case, "failure").text = text
    ElementTree.ElementTree(suite).write(path)


def main() -> int:
    """Checks the files; prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("files", nargs="*", help="paths below the root; default: all")
    arguments = parser.parse_args()
    tree = Tree.of_git(ROOT)
    commands = {
        Path(entry["file"]).resolve().relative_to(ROOT).as_posix(): entry["command"]
        for entry in json.loads((arguments.build / "compile_commands.json").read_text())
        if Path(entry["file"]).resolve().is_relative_to(ROOT)
    }
    wanted = arguments.files or [
        path for path in commands if path.startswith(FOLDERS) and not is_test(path)
    ]
    if unknown := [path for path in wanted if path not in commands]:
        parser.error(f"not compiled in {arguments.build} (tests are not): {unknown}")
    passed = arguments.build / "passed"
    passed.mkdir(exist_ok=True)
    common = common_digest(tree)

    def check(path: str) -> str:
        key = common + commands[path].encode() + (ROOT / path).read_bytes()
        stamp = passed / hashlib.sha256(key).hexdigest()
        if stamp.exists():
            return ""
        text = complaints(arguments.build, path)
        if not text:
            stamp.touch()
        return text

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(wanted, pool.map(check, wanted), strict=True))
    for text in results.values():
        if text:
            print(text)
    report(results, arguments.build / "report.xml")
    failed = sum(1 for text in results.values() if text)
    print(f"clang-tidy: {len(results) - failed} files passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
