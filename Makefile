# Shortcuts; the build is CMake's (CMakePresets.json, docs/development.md).
.PHONY: all test demo release dist bench clean

WORK = build/bench

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

dist:     ## what is handed out: a static program, a tarball, a wheel; tried in bare systems
	@.ci/setup python3-venv
	@.ci/dist

bench:    ## time and memory beside cp, PyTorch and others; 16 GB free in WORK
	@.ci/setup
	@.ci/build release remap make_checkpoint inflate
	@mkdir -p $(WORK)
	@tests/bench/bench.py --remap build/release/remap --tools build/release/tests --work $(WORK)

clean:
	rm -rf build
