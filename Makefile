PYTHON ?= python3.11
VENV ?= .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
CONFIG ?= config
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 7 ? cores + 1 : 8)))
# Several tests at once: a process that computes with a thread for each core would only wait for its own threads.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1

.PHONY: demo test exhaustive accept-viewer check bench fuzz serve tools install help

help:            ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

demo: $(STAMP)   ## send a synthetic CT through a whole node and show what comes back
	@$(BIN)/isocenter demo

test: $(STAMP)   ## all checks and tests; installs Orthanc, DCMTK, dicom3tools and poppler when it may
	@sh tests/tools.sh
	@$(MAKE) --no-print-directory check
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

exhaustive: $(STAMP) ## what the tests leave out for the sake of time: every system call, 10,000 associations, more kills
	@sh tests/tools.sh
	$(BIN)/python -m pytest -m exhaustive

accept-viewer: $(STAMP) ## open results in OHIF and compare the overlay with the masks; installs Chromium, fetches OHIF
	@sh tests/viewer/tools.sh $(abspath $(BIN))/python
	$(BIN)/python -m pytest -m viewer tests/viewer

check: $(STAMP)  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: $(STAMP)  ## how fast the node receives, beside DCMTK, Orthanc and pynetdicom
	$(BIN)/python benchmarks/receive.py

fuzz: $(STAMP)   ## two minutes of hostile sessions against a receiver
	$(BIN)/python -m tests.hostile.fuzz --seconds 120 --seed 1

serve: $(STAMP)  ## run the node with the configuration in CONFIG
	$(BIN)/isocenter serve --config $(CONFIG)

tools:           ## install Orthanc, DCMTK, dicom3tools, poppler and strace (root on Debian or Ubuntu)
	@sh tests/tools.sh

install: $(STAMP) ## the virtual environment

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
