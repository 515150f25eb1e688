#!/usr/bin/env bash
cat <<'TEXT'
make demo      train a PyTorch model on a lake table, kill it, resume it (sets everything up)
make demo-spark  the same from a Spark DataFrame, in a local Spark
make test      every test a developer waits for: tidy, C++, Python
make test-all  the same, then sanitizers, the whole of clang-tidy and the wheel
make wheel     the wheel that is published, in build/wheel, tried in an empty environment
make build     .venv/bin/python with the package, .venv/bin/headrace, the C++ tests
make tidy      format, lint, types, layers, sizes (seconds)
make docs      the documents' code runs and their links resolve
make bench     C++ micro-benchmarks and rows/s of the loader beside Arrow's decode limit
               make bench PEERS=1 compares with peers as well (installs them; 15 minutes more)
make fuzz      libFuzzer targets, a minute each, or: make fuzz SECONDS=600
make clean     remove build/ and .venv/
TEXT
