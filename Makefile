# A thin front door; CMake does the building (CMakePresets.json), scripts/ does the rest.
.PHONY: help build run test bench bench-check clean

help:
	@echo "make run     prepare everything, boot Debian's kernel and leave you at its shell"
	@echo "make test    prepare everything and run the whole test suite"
	@echo "make build   build only; the program is build/ringfence"
	@echo "make bench   run the benchmarks (results: build/bench/index.html); make bench-check looks for regressions"
	@echo "make clean   remove what was built (the cached guest stays)"

build:
	@scripts/setup build
	@scripts/build release

run:
	@scripts/run

test:
	@scripts/test

bench:
	@scripts/setup bench
	@scripts/build release
	@scripts/guest
	@benchmarks/run

bench-check:
	@scripts/setup bench
	@scripts/build release
	@scripts/guest
	@benchmarks/run --peers ringfence --runs 3 --check

clean:
	rm -rf build build-debug build-asan build-clang
