"""The wheel of `make wheel`, in an environment that has nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

WHEELS = Path(__file__).resolve().parents[2] / "build" / "wheel"
#: What every Linux with a C++ program has; the loader has a name of its own by processor.
#: zlib is promised by manylinux (PEP 600), so that auditwheel brings none along.
OF_THE_SYSTEM = (
    "libc.so.", "libm.so.", "libstdc++.so.", "libgcc_s.so.", "libpthread.so.", "libdl.so.",
    "librt.so.", "libresolv.so.", "ld-linux", "libz.so.",
)  # fmt: skip
OF_PYARROW = ("libarrow", "libparquet")

#: What the process maps without Headrace is not Headrace's need: `shutil` of Python brings
#: libbz2 and liblzma.
OTHERS = """
import json
import shutil
import numpy
import pyarrow.parquet
import cloudpickle
"""
MAPPED = """
for line in open("/proc/self/maps"):
    mapped = line.split()[-1]
    if ".so" in mapped:
        print(mapped)
"""
PROGRAM = """
import sys
import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

for codec in ("jpeg", "png", "webp", "npz", "zstd"):  # by libraries that come along
    field = hr.Field("x", "uint8", (8, 8, 3), codec=codec)
    hr.Schema([field]).encode({"x": [np.zeros((8, 8, 3), np.uint8)]})
path = sys.argv[1] + "/table.parquet"
pq.write_table(pa.table({"x": pa.array(range(1000), pa.float32())}), path)
with hr.open(path).where("x >= 500").loader(batch_size=100, seed=1) as loader:
    assert sorted(x for batch in loader for x in batch["x"]) == list(range(500, 1000))
# By the supervisor that comes along.
assert hr.gang.run(lambda: hr.gang.context().rank, tasks=2) == [0, 1]
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = sorted(WHEELS.glob("*.whl"))
    assert len(found) == 1, "run `make wheel`"
    return found[0]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True)
    return python


def run(*command: str | Path) -> str:
    done = subprocess.run(command, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_says_what_it_runs_on(wheel: Path) -> None:
    assert "manylinux" in wheel.name
    assert wheel.stat().st_size < 20 << 20


def test_binaries_need_the_c_libraries_and_pyarrow_alone(wheel: Path) -> None:
    seen = 0
    with zipfile.ZipFile(wheel) as archive:
        brought = [Path(name).name for name in archive.namelist() if ".libs/" in name]
        own = ("libheadrace", *brought)
        for name in archive.namelist():
            with archive.open(name) as file:
                if file.read(4) != b"\x7fELF":
                    continue
                seen += 1
                dynamic = ELFFile(file).get_section_by_name(".dynamic")
                for tag in dynamic.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        assert tag.needed.startswith(OF_THE_SYSTEM + OF_PYARROW + own)
                    if tag.entry.d_tag == "DT_RUNPATH":
                        for path in tag.runpath.split(":"):
                            assert path.startswith("$ORIGIN"), name
    assert seen >= 4  # the extension, two libraries, the program


def test_a_bare_environment_reads_a_table_with_it(python: Path, tmp_path: Path) -> None:
    before = set(run(python, "-c", OTHERS + MAPPED).splitlines())
    added = (
        set(run(python, "-c", OTHERS + PROGRAM + MAPPED, tmp_path).splitlines()) - before
    )
    of_the_package = str(python.parents[1])
    assert any(path.endswith("libheadrace.so") for path in added)
    # Python's own modules are its, not ours; the C library's parts are of the system.
    others = [
        path
        for path in added
        if "/lib-dynload/" not in path and not Path(path).name.startswith(OF_THE_SYSTEM)
    ]
    assert [path for path in others if not path.startswith(of_the_package)] == []


def test_the_program_comes_with_it(python: Path, tmp_path: Path) -> None:
    run(python, "-c", PROGRAM, tmp_path)
    headrace = python.parent / "headrace"
    assert "1000 rows" in run(headrace, "inspect", tmp_path / "table.parquet")
