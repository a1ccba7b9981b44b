# make demo       refine examples/portrait.jpg and say where the result is
# make test       ruff, mypy and the tests, without those that take five seconds and more; TESTS='not exhaustive' for
#                 these too, but for further cases of the same
# make test-all   ruff, mypy and all tests
# make lint       ruff and mypy
# make fuzz       1200 hostile inputs, each in a time limit (docs/fuzz.md); ARGS='--only pictures' for some
# make chaos      30 runs killed at random moments and run again (docs/fuzz.md)
# make clean      remove what the others made
#
# PYTHON=python3.12 make demo    with another interpreter (3.10 or newer)

PYTHON ?= python3
TESTS ?= not slow and not exhaustive
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Threads of torch that spin while they wait make a busy machine ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all lint fuzz chaos clean

demo: $(STAMP)
	$(BIN)/gcnface refine examples/portrait.jpg --output out/demo
	@echo
	@echo "The face is in out/demo: open out/demo/portrait.html in a browser,"
	@echo "out/demo/portrait_overlay.png as a picture, out/demo/portrait.glb in a 3D program."

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(TESTS)"

test-all:
	$(MAKE) test TESTS=

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/mypy

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(ARGS)

chaos: $(STAMP)
	$(BIN)/python -m tests.fuzz.chaos $(ARGS)

# torch goes first, in the version of constraints.txt. A build that is there already is kept: to have the CPU builds, install
# torch and torchvision into .venv before, as docs/install.md says; else the index decides, on Linux for CUDA and 5.3 GB.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "gcnface needs Python 3.10 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[dev]'
	@$(BIN)/python -c 'import cv2' || { \
	  echo "OpenCV lacks system libraries; on Debian and Ubuntu: apt install libgl1 libglib2.0-0" >&2; exit 1; }
	@touch $(STAMP)

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
