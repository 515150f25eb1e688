#!/usr/bin/env bash
# Every test that a developer waits for. Arguments go to pytest, and then only pytest runs.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
export PATH="$PWD/.venv/bin:$PATH"
python tests/spark/jvm.py
if (($#)); then
  exec python -m pytest "$@"
fi

# What passed stands for this very tree; make test-all asks before it runs it all again.
tree=$(python tools/fingerprint.py)
rm -f build/dev/pytest.xml build/tested
python tools/tidy.py
failed=0
tools/cpp_tests.sh dev 300 || failed=1
# One more than there are cores, as a fifth of the time is spent waiting.
python -m pytest -q --numprocesses "$(($(nproc) + 1))" --junitxml build/dev/pytest.xml </dev/null || failed=1
python tools/summary.py build/dev/{ctest,pytest}.xml build/dev/gtest/*.xml || failed=1
((failed)) || echo "$tree" >build/tested
exit "$failed"
