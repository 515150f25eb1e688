#!/usr/bin/env bash
# Format, lint, types and the house rules, in seconds. Names of checks may follow.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
exec .venv/bin/python tools/tidy.py "$@"
