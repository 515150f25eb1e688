"""Runs the checks for one form of batches; prints a line of JSON a check."""

import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import adapters
import checks


def main(name: str) -> None:
    """Run them all."""
    adapter = adapters.make(name)
    warnings.simplefilter(
        "error"
    )  # what importing a framework warns of is its own affair
    with tempfile.TemporaryDirectory() as folder:
        checks.write(Path(folder))
        for check in checks.ALL:
            try:
                check(adapter, Path(folder))
                failure = None
            except Exception:
                failure = traceback.format_exc()
            print(json.dumps({"check": check.__name__, "failure": failure}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
