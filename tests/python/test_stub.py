"""The committed stub of the extension is the one that its bindings give."""

import ast
import subprocess
import sys
from pathlib import Path

STUB = Path(__file__).parents[2] / "python/headrace/_native.pyi"


def test_stub_is_that_of_the_extension(tmp_path: Path) -> None:
    made = tmp_path / "_native.pyi"
    command = ["-m", "nanobind.stubgen", "-q", "-m", "headrace._native", "-o"]
    subprocess.run([sys.executable, *command, made], check=True, timeout=60)
    assert ast.dump(ast.parse(STUB.read_text())) == ast.dump(
        ast.parse(made.read_text())
    ), f"make it anew: python {' '.join(command)} {STUB.relative_to(Path.cwd())}"
