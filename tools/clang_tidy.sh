#!/usr/bin/env bash
# clang-tidy (.clang-tidy) over the product's C++. GCC's precompiled headers mean nothing to
# clang, so the commands come from a tree of their own, of which headers alone are built.
# Files that passed are remembered by the hash of all that went into them. Files may be named.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/clang-tidy
if ! cmake -S . -B build/clang-tidy -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DHEADRACE_PYTHON=ON -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DHEADRACE_CCACHE=OFF \
    -DPython_EXECUTABLE="$PWD/.venv/bin/python" -DPython3_EXECUTABLE="$PWD/.venv/bin/python" \
    >build/clang-tidy/configure.log 2>&1 </dev/null; then
  cat build/clang-tidy/configure.log >&2
  exit 1
fi
cmake --build build/clang-tidy --target generated/hive/ThriftHiveMetastore.h >/dev/null
exec python tools/clang_tidy.py build/clang-tidy "$@"
