# One word for each thing one does here; `make help` lists them.

# Which LibTorch: a folder with include/ and lib/. Empty: the pinned one, fetched once.
MFI_LIBTORCH ?=
# Where `make install` puts the program.
PREFIX ?= /usr/local
# release, dev, asan, tsan or tidy (CMakePresets.json); builds into build/PRESET.
PRESET ?= release
JOBS ?= $(shell nproc)
# For bench/run.sh: its flags, and a Python with torch. Empty: all cases, and one that it makes.
BENCH ?=
MFI_BENCH_PYTHON ?=
# For peers: the folder of a finished run, and flags of bench/peers/peers.py.
RUN ?=
PEERS ?=
# For results: studies, and flags of bench/results/study.py.
STUDY ?=
RESULTS ?=
# For fuzz: how long each target runs, and which one alone. Empty: all.
SECONDS ?= 60
TARGET ?=

BUILD = build/$(PRESET)
MFI = $(BUILD)/bin/mfi
# ThreadSanitizer cannot place its memory where a kernel puts programs at addresses too random for it.
RUN_TESTS = $(if $(filter tsan,$(PRESET)),setarch --addr-no-randomize )ctest

.DEFAULT_GOAL := help
.PHONY: help setup configure build test demo install package docs bench peers results asan tsan fuzz tidy format clean

help: ## This list
	@echo "usage: make WHAT [NAME=VALUE ...]"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-11s %s\n", $$1, $$2 }'
	@echo
	@echo "  MFI_LIBTORCH=DIR  build with this LibTorch 2.x (an installed Python torch's folder, an unpacked zip)"
	@echo "  PREFIX=DIR        where install puts the program (now $(PREFIX))"
	@echo "  PRESET=NAME       release, dev, asan, tsan or tidy (now $(PRESET))"
	@echo "  JOBS=N            compile and test N at a time (now $(JOBS))"
	@echo "  SECONDS=N         for fuzz: how long each target runs (now $(SECONDS))"
	@echo "  TARGET=NAME       for fuzz: this target alone"
	@echo "  BENCH=FLAGS       for bench: --quick, --only CASE,..., --fresh, --rounds N"
	@echo "  RUN=DIR           for peers: the folder of a finished run"
	@echo "  PEERS=FLAGS       for peers: --data DIR, --controls, --match params, --seeds 0,1,2, ..."
	@echo "  STUDY=NAMES       for results: teacher, search, front, peers, whole, ablation, epochs, labels, depgraph"
	@echo "  RESULTS=FLAGS     for results: --data DIR, --list, --only PATTERN, --seeds 0, --dataset cifar10, ..."
	@echo "  MFI_BENCH_PYTHON=PROGRAM  for bench, peers and results: a Python with torch (and torch-pruning), instead of one made in build"

setup: ## Install the Debian packages and fetch LibTorch, where missing
	@scripts/install_packages.sh
	@$(if $(MFI_LIBTORCH),true,scripts/fetch_libtorch.sh)

configure: setup
	@mkdir -p build
	@cmake --preset $(PRESET) -DMFI_LIBTORCH:PATH="$(MFI_LIBTORCH)" >$(BUILD).log 2>&1 \
	  || { cat $(BUILD).log; exit 1; }

build: configure ## Set up and compile
	cmake --build --preset $(PRESET) --parallel $(JOBS)

test: build ## Set up, compile and run all tests
	$(RUN_TESTS) --preset $(PRESET) --parallel $(JOBS)

demo: ## Set up, compile and run the whole method on the sample in sample/ (minutes)
	@$(MAKE) --no-print-directory build
	$(MFI) run recipes/sample.toml --out runs/sample

install: build ## Set up, compile and install into PREFIX
	cmake --install $(BUILD) --prefix "$(PREFIX)"

package: build ## Debian packages mfi and mfi-dev, in build/PRESET/packages
	@scripts/install_packages.sh package
	cd $(BUILD) && cpack

docs: ## The site of the documentation, in build/site; fetches mkdocs from PyPI once
	@scripts/install_packages.sh docs
	@test -x build/docs-venv/bin/mkdocs && cmp -s docs/site/requirements.txt build/docs-venv/requirements.txt || { \
	  rm -rf build/docs-venv && python3 -m venv build/docs-venv && \
	  build/docs-venv/bin/pip install -q --disable-pip-version-check -r docs/site/requirements.txt && \
	  cp docs/site/requirements.txt build/docs-venv/; }
	python3 docs/site/make_source.py build/site-source
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

bench: ## Measure against PyTorch and the machine's peak; writes docs/benchmarks.md (about 50 minutes)
	@scripts/install_packages.sh bench
	@$(MAKE) --no-print-directory configure
	cmake --build --preset $(PRESET) --target bench --parallel $(JOBS)
	MFI_BENCH_PYTHON="$(MFI_BENCH_PYTHON)" bench/run.sh $(BUILD) $(BENCH)

peers: ## Other tools' pruning on the teacher of RUN=DIR, a finished run on CIFAR (docs/peers.md)
	@$(if $(RUN),true,echo "make peers: give RUN=DIR, the folder of a finished run" >&2; exit 64)
	@scripts/install_packages.sh bench
	@$(MAKE) --no-print-directory configure
	cmake --build --preset $(PRESET) --target mfi --parallel $(JOBS)
	MFI_BENCH_PYTHON="$(MFI_BENCH_PYTHON)" bench/peers/run.sh $(MFI) "$(RUN)" $(PEERS)

results: ## The trainings behind docs/results.md: STUDY="teacher search front", in this order
	@$(if $(STUDY),true,echo "make results: give STUDY=NAMES, of teacher search front peers whole ablation epochs labels depgraph" >&2; exit 64)
	@scripts/install_packages.sh bench
	@$(MAKE) --no-print-directory configure
	cmake --build --preset $(PRESET) --target mfi --parallel $(JOBS)
	MFI_BENCH_PYTHON="$(MFI_BENCH_PYTHON)" bench/results/study.py $(MFI) $(STUDY) $(RESULTS)

asan: ## All tests with address and undefined-behaviour checks
	@$(MAKE) --no-print-directory test PRESET=asan

tsan: ## All tests with data-race checks
	@$(MAKE) --no-print-directory test PRESET=tsan

fuzz: ## libFuzzer on every parser, SECONDS each (docs/fuzzing.md); needs no LibTorch
	@scripts/install_packages.sh fuzz
	@mkdir -p build
	@cmake --preset fuzz >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
	cmake --build --preset fuzz --parallel $(JOBS)
	scripts/fuzz.py build/fuzz --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET))

tidy: ## clang-tidy over all sources
	@scripts/install_packages.sh lint
	@$(MAKE) --no-print-directory build PRESET=tidy

format: ## clang-format all sources in place
	@scripts/install_packages.sh lint
	git ls-files -co --exclude-standard '*.h' '*.cpp' | xargs clang-format -i

clean: ## Remove the build folders (LibTorch stays in the cache)
	rm -rf build
