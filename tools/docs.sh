#!/usr/bin/env bash
# The documents' code runs and their links lead somewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh
exec .venv/bin/python tools/docs.py
