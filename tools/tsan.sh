#!/usr/bin/env bash
# The C++ tests of what runs in threads, built with ThreadSanitizer in build/tsan.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/tsan
rm -f build/tsan/ctest.xml
log=build/tsan/build.log
echo "tsan: build/tsan (log: $log)"
if ! { cmake --preset tsan && cmake --build build/tsan --parallel "$(nproc)" --target headrace_tests; } \
    >"$log" 2>&1 </dev/null; then
  grep -nE 'error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi

# The suites of these folders, by name.
suites=$(find src/base src/gang src/storage src/window src/pipeline \
  src/reader/chunk_cache_test.cc -name '*_test.cc' -exec \
  sed -nE 's/^TEST(_F|_P)?\(([A-Za-z0-9]+),.*/\2.*:*\/\2.*/p' {} + | sort -u | paste -sd ':')
exec tools/cpp_tests.sh tsan 900 "$suites"
