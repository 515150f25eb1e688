"""The command `headrace`: replaces this process by the binary in the package."""

import os
import pathlib
import sys


def main() -> None:
    """Run `bin/headrace` with this process' arguments."""
    binary = pathlib.Path(__file__).parent / "bin" / "headrace"
    if not binary.exists():
        sys.exit(f"headrace: {binary} is missing: reinstall the package")
    os.execv(binary, [str(binary), *sys.argv[1:]])
