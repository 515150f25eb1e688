#!/usr/bin/env bash
# Everything: make test (unless this very tree has passed it), the tests that are marked as
# long, the C++ tests under ASan and UBSan, those of what runs in threads under TSan,
# clang-tidy over all of src, apps and python/ext, and the wheel in an empty environment.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
export PATH="$PWD/.venv/bin:$PATH"
if [[ ! -f build/tested || $(<build/tested) != "$(python tools/fingerprint.py)" ]]; then
  tools/test.sh
fi

failed=0
python -m pytest -q -m long --numprocesses "$(nproc)" --junitxml build/dev/long.xml </dev/null || failed=1
tools/clang_tidy.sh || failed=1
tools/asan.sh || failed=1
tools/tsan.sh || failed=1
tools/wheel.sh || failed=1
python tools/summary.py build/{dev,asan,tsan}/ctest.xml build/{dev,asan,tsan}/gtest/*.xml \
  build/dev/{pytest,long}.xml build/clang-tidy/report.xml build/wheel/pytest.xml || failed=1
exit "$failed"
