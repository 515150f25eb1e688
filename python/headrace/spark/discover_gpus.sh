#!/bin/sh
# Spark's discovery script for gpus: Spark calls it without arguments, on each machine.
exec "$(dirname "$0")/../bin/headrace" accelerators
