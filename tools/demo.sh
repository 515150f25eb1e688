#!/usr/bin/env bash
# From a fresh clone to a PyTorch model that trains on a lake table, is killed, and resumes,
# and to one that learns from images.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
exec .venv/bin/python examples/flights/demo.py "$@"
