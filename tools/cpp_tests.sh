#!/usr/bin/env bash
# Runs the C++ tests of a preset that is built: cpp_tests.sh PRESET TIMEOUT_S [GTEST_FILTER]. With a
# filter, without the fuzz targets' corpora. Reports are build/PRESET/ctest.xml and gtest/*.xml.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=build/$1
options=(--preset "$1" --timeout "$2" --parallel "$(($(nproc) * 2))" --output-junit ctest.xml)
if (($# > 2)); then
  export GTEST_FILTER=$3
  options+=(--tests-regex '^shard')
fi
rm -rf "$folder/ctest.xml" "$folder/gtest"
if ! ctest "${options[@]}" >"$folder/ctest.log" 2>&1 </dev/null; then
  grep -vE '^ *[0-9]+/[0-9]+ Test .* Passed|^ *Start +[0-9]+:' "$folder/ctest.log" >&2 || true
  exit 1
fi
