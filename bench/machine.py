"""What benchmarks compare with and tell of: Arrow's decode limit, and the processor's name."""

import json
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

import work

#: The program of bench/limit.
LIMIT = Path("build/bench/bench/headrace_limit")
DECODINGS = 3


def limit(
    program: Path, folder: Path, threads: int, columns: Sequence[str] = work.COLUMNS
) -> tuple[float, float]:
    """Return the rows a second of Arrow's decoding, and the bytes a second of memcpy."""
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    command = [str(program), str(threads), str(DECODINGS), ",".join(columns), *files]
    found = json.loads(subprocess.check_output(command, text=True))
    rate = found["rows"] / statistics.median(found["seconds"])
    return rate, found["copy_bytes_per_second"]


def processor() -> str:
    """Return the processor's name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
