#!/usr/bin/env bash
# Back to a fresh clone: removes what make made.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
