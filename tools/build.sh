#!/usr/bin/env bash
# One build tree, build/dev, gives the library, the C++ tests and the Python package that is
# installed into .venv. Skipped when no source changed since the last time. -g1: lines in
# backtraces, without the variables that cost a fifth of compiling.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PWD/.venv/bin:$PATH"

stamp=build/dev/installed.stamp
sources=(CMakeLists.txt cmake include src apps python tests/cpp tests/integration/headrace_put.cc fuzz pyproject.toml README.md LICENSE
  tools/build.sh .venv/headrace-setup.sha256)
if [[ -f $stamp && -x .venv/bin/headrace &&
      -z $(find "${sources[@]}" -newer "$stamp" -not -name __pycache__ -print -quit) ]]; then
  exit 0
fi
mkdir -p build/dev
started=$(mktemp build/dev/started.XXXXXX)
trap 'rm -f "$started"' EXIT
log=build/dev/build.log
echo "build: build/dev (log: $log)"
if ! python -m pip install --no-build-isolation --no-deps --force-reinstall \
    --disable-pip-version-check --verbose . \
    --config-settings=build-dir=build/dev \
    --config-settings=cmake.build-type=RelWithDebInfo \
    --config-settings=cmake.define.CMAKE_CXX_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" \
    --config-settings=cmake.define.HEADRACE_TESTS=ON \
    --config-settings=cmake.define.HEADRACE_UNITY=ON \
    >"$log" 2>&1 </dev/null; then
  grep -nE 'error|Error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi
# A source edited while the build ran is newer than the stamp, which is as old as its start.
mv "$started" "$stamp"
trap - EXIT
