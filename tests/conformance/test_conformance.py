"""Every form of batches passes the same checks, each framework in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FRAMEWORKS = ("torch", "jax", "tensorflow")


@pytest.mark.parametrize("adapter", ["numpy", *FRAMEWORKS, "jax_x64"])
def test_conformance(adapter: str, subtests: pytest.Subtests) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "run_checks.py", adapter],
        capture_output=True,
        text=True,
        timeout=240,
    )
    results = [json.loads(x) for x in done.stdout.splitlines() if x.startswith("{")]
    for result in results:
        with subtests.test(msg=result["check"]):
            assert result["failure"] is None, result["failure"]
    assert done.returncode == 0, done.stderr
    assert len(results) == 20


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_a_framework_is_imported_by_its_own_form_alone(adapter: str) -> None:
    program = (
        "import sys, headrace.loader\n"
        f"assert not set({FRAMEWORKS!r}) & set(sys.modules)\n"
        f"headrace.loader._conversion({adapter!r}, False)\n"
        f"assert {adapter!r} in sys.modules\n"
        f"ours = {{'headrace.' + name for name in {FRAMEWORKS!r}}} & set(sys.modules)\n"
        f"assert ours == {{'headrace.{adapter}'}}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
