# The sole door: people and CI type the same words. Each target is one script in tools/.
.DEFAULT_GOAL := help
.PHONY: help build demo demo-spark test test-all wheel bench fuzz tidy docs clean

help:      ; @tools/help.sh
build:     ; @tools/build.sh
demo:      ; @tools/demo.sh
demo-spark: ; @tools/demo_spark.sh
test:      ; @tools/test.sh
test-all:  ; @tools/test_all.sh
wheel:     ; @tools/wheel.sh
bench:     ; @tools/bench.sh
fuzz:      ; @tools/fuzz.sh $(SECONDS)
tidy:      ; @tools/tidy.sh
docs:      ; @tools/docs.sh
clean:     ; @tools/clean.sh
