#!/usr/bin/env bash
# Micro-benchmarks in a Release tree of their own, then rows/s of the loader beside the
# decode limit, which that tree has a program for, what a script waits for, and memory:
# some twenty minutes, ten of them of simulated training. Arguments go to
# bench/loaders/loaders.py (--rows, --pairs). With PEERS=1 the peers' benchmark follows, which
# installs them. JSON in build/bench.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/bench
log=build/bench/build.log
echo "bench: build/bench (log: $log)"
if ! { cmake -S . -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=Release -DHEADRACE_BENCHMARKS=ON \
    -DPython3_EXECUTABLE="$PWD/.venv/bin/python" &&
    cmake --build build/bench --parallel "$(nproc)" --target headrace_benchmarks headrace_limit \
      headrace_cells_limit headrace_image_limit; } \
    >"$log" 2>&1 </dev/null; then
  grep -nE 'error|FAILED' "$log" | head -40 >&2 || true
  tail -25 "$log" >&2
  exit 1
fi
build/bench/bench/headrace_benchmarks --benchmark_out=build/bench/micro.json 2>/dev/null
python bench/loaders/loaders.py "$@"
python bench/loaders/paths.py
python bench/loaders/moments.py
python bench/memory/memory.py
python bench/tensors/tensors.py
python bench/images/images.py
python bench/writing/writing.py
python bench/versions/versions.py
python bench/storage/s3.py
python bench/spark/converting.py
python bench/gang/gangs.py
python bench/gang/training.py
if [[ ${PEERS:-} == 1 ]]; then
  python bench/peers/peers.py
  python bench/spark/converting.py --petastorm
  python bench/images/images.py --only pillow torchvision petastorm dali spdl
fi
