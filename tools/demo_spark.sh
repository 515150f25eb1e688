#!/usr/bin/env bash
# From a Spark DataFrame to a PyTorch model, in a local Spark.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
exec .venv/bin/python examples/spark/demo.py "$@"
