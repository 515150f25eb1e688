#!/usr/bin/env bash
# Every test that a developer waits for. Arguments go to pytest, and then only pytest runs.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
export PATH="$PWD/.venv/bin:$PATH"
if (($#)); then
  exec python -m pytest "$@"
fi

# What passed stands for this very tree; make test-all asks before it runs it all again.
tree=$(python tools/fingerprint.py)
rm -f build/dev/ctest.xml build/dev/pytest.xml build/tested
python tools/tidy.py
failed=0
ctest --test-dir build/dev --parallel "$(nproc)" --output-on-failure --timeout 300 \
  --output-junit ctest.xml >build/dev/ctest.log 2>&1 </dev/null || failed=1
if ((failed)); then
  grep -vE '^ *[0-9]+/[0-9]+ Test .* Passed|^ *Start +[0-9]+:' build/dev/ctest.log || true
fi
python -m pytest -q --numprocesses "$(nproc)" --junitxml build/dev/pytest.xml </dev/null || failed=1
python tools/summary.py build/dev/ctest.xml build/dev/pytest.xml || failed=1
((failed)) || echo "$tree" >build/tested
exit "$failed"
