# Shortcuts; the build is CMake's (CMakePresets.json, docs/development.md).
.PHONY: all test demo release bench clean

all: release

test:     ## both builds, every test; ends with "N passed, N failed"
	@.ci/setup
	@.ci/test

demo:     ## converts the bundled checkpoints
	@.ci/setup
	@.ci/build release remap
	@docs/demo.sh build/release/remap

release:  ## the optimised program and library
	@.ci/setup
	@.ci/build release

bench:    ## how fast, and with how much memory
	@.ci/setup
	@.ci/build release
	@tests/bench/run build/release

clean:
	rm -rf build
