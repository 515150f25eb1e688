#!/usr/bin/env bash
# Builds the libFuzzer targets of fuzz/CMakeLists.txt and runs each for some seconds:
# tools/fuzz.sh [SECONDS [TARGET...]]. New inputs are kept in build/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh clang-19 libclang-rt-19-dev
export PATH="$PWD/.venv/bin:$PATH"
seconds=${1:-60}
shift $(($# > 0))

mkdir -p build/fuzz
log=build/fuzz/build.log
echo "fuzz: build/fuzz (log: $log)"
if ! { cmake --preset fuzz && cmake --build build/fuzz --parallel "$(nproc)"; } \
    >"$log" 2>&1 </dev/null; then
  grep -nE 'error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi
mapfile -t registered <build/fuzz/fuzz/registry.txt
targets=("$@")
((${#targets[@]})) || targets=("${registered[@]}")

# Arrow is not instrumented: its containers cross into ours (detect_container_overflow), and its
# own pool would hide overflows (system).
export ASAN_OPTIONS=detect_container_overflow=0 ARROW_DEFAULT_MEMORY_POOL=system
passed=0 failed=0
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus" "build/fuzz/found/$target"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1
    -artifact_prefix="build/fuzz/found/$target/")
  [[ -f fuzz/$target.dict ]] && options+=(-dict="fuzz/$target.dict")
  seeds=()
  [[ -d fuzz/corpus/$target ]] && seeds+=("fuzz/corpus/$target")
  verdict=passed
  "build/fuzz/fuzz/${target}_fuzz" "${options[@]}" "$corpus" "${seeds[@]}" \
    >"build/fuzz/$target.log" 2>&1 </dev/null || verdict=crashed
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log")
  if [[ $target == canary ]]; then
    [[ $verdict == crashed ]] && verdict=passed || verdict="missed its own bug"
  fi
  echo "fuzz: $target $verdict (${runs:-0} inputs, log: build/fuzz/$target.log)"
  if [[ $verdict == passed ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -40 "build/fuzz/$target.log" >&2
  fi
done
echo "$passed passed, $failed failed"
((failed == 0))
