#!/usr/bin/env bash
# The wheel that is published: a Release build, repaired by auditwheel, in build/wheel. Arrow's
# libraries stay those of the pyarrow beside it. Then the tests that install it where nothing else is.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/wheel
rm -rf build/wheel/*.whl build/wheel/unrepaired
log=build/wheel/build.log
echo "wheel: build/release (log: $log)"
if ! { python -m pip wheel --no-build-isolation --no-deps --disable-pip-version-check --verbose . \
    --wheel-dir build/wheel/unrepaired \
    --config-settings=build-dir=build/release \
    --config-settings=cmake.build-type=Release &&
    auditwheel repair build/wheel/unrepaired/*.whl --wheel-dir build/wheel \
      --exclude 'libarrow*' --exclude 'libparquet*'; } >"$log" 2>&1 </dev/null; then
  grep -nE 'error|Error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi
ls -sh build/wheel/*.whl
python -m pytest -q tests/wheel --junitxml build/wheel/pytest.xml </dev/null
