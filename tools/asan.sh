#!/usr/bin/env bash
# The C++ tests and the fuzz targets' corpora, built with ASan and UBSan in build/asan.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/asan
rm -f build/asan/ctest.xml
log=build/asan/build.log
echo "asan: build/asan (log: $log)"
if ! { cmake --preset asan && cmake --build build/asan --parallel "$(nproc)" \
      --target headrace_tests fuzz_replays; } \
    >"$log" 2>&1 </dev/null; then
  grep -nE 'error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi
exec tools/cpp_tests.sh asan 900
