# Everything a new clone needs, installed into .venv once and found there afterwards:
#
#   make serve              serve on 127.0.0.1:9090 (PORT=, HOST=, and ARGS= for `serve`)
#   make test               run the tests           (ARGS= for pytest)
#   make test-full          the same with the tests that take minutes
#   make lint               every checker
#
# PyTorch's CPU build is the default; CUDA=1 takes the CUDA build. PYTHON= names the interpreter.

HOST ?= 127.0.0.1
PORT ?= 9090
ARGS ?=
PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done) python3)

ifeq ($(CUDA),1)
TORCH := cuda
endif
TORCH ?= cpu
TORCH_VERSION := $(shell sed -n 's/^torch==//p' requirements.txt)
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-full lint install install-dev libraries redis weights

help:
	@sed -n 's/^#   //p' Makefile

serve: libraries weights
	@exec $(BIN)/python -m backend serve --host $(HOST) --port $(PORT) $(ARGS)

test: install-dev libraries redis weights
	$(BIN)/python -m pytest $(ARGS)

test-full: install-dev libraries redis weights
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

lint: install-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict .

install: $(DONE)/requirements

install-dev: $(DONE)/requirements-dev

# A file under .done is written only after its step has succeeded, so an interrupted installation
# goes on where it stopped, and a finished one is not looked at again.

$(DONE)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Maskloop needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1):" \
			"install a newer one, or name it: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

# A plain index has the CUDA build for Linux. PyTorch's own index has the CPU build, whose version
# `+cpu` wins over the plain one; where that index does not answer, what is configured decides.
$(DONE)/torch-$(TORCH)-$(TORCH_VERSION): $(DONE)/venv
	@if ls $(DONE)/torch-* >/dev/null 2>&1; then \
		$(BIN)/python -m pip uninstall --yes --quiet torch; rm -f $(DONE)/torch-*; fi
	@if [ "$(TORCH)" = cuda ]; then \
		set -- "torch==$(TORCH_VERSION),!=$(TORCH_VERSION)+cpu"; \
	else \
		set -- "torch==$(TORCH_VERSION)"; \
		if $(BIN)/python -c 'import signal, sys, urllib.request as u; signal.alarm(8); \
			u.urlopen(sys.argv[1] + "/torch/", timeout=5)' $(TORCH_CPU_INDEX) >/dev/null 2>&1; then \
			set -- "$$1" --extra-index-url $(TORCH_CPU_INDEX); fi; \
	fi; \
	echo "Installing $$*"; $(INSTALL) --constraint requirements.txt "$$@"
	@touch $@

$(DONE)/requirements: requirements.txt $(DONE)/torch-$(TORCH)-$(TORCH_VERSION)
	$(INSTALL) --no-deps --requirement requirements.txt
	@touch $@

$(DONE)/requirements-dev: requirements-dev.txt $(DONE)/requirements
	$(INSTALL) --no-deps --requirement requirements-dev.txt
	@touch $@

# opencv-python is built against the desktop's libraries, which a small system does not have.
libraries: $(DONE)/libraries

$(DONE)/libraries: $(DONE)/requirements
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0; fi; \
		$(BIN)/python -c 'import cv2' || { \
			echo "OpenCV lacks a system library (named above):" \
				"sudo apt-get install libgl1 libglib2.0-0" >&2; exit 1; }; }
	@touch $@

redis:
	@command -v redis-server >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update && apt-get install --yes --no-install-recommends redis-server; fi; \
		command -v redis-server >/dev/null || { \
			echo "The tests need redis-server, which is no Python package:" \
				"sudo apt-get install redis-server" >&2; exit 1; }; }

weights: $(DONE)/requirements
	@$(BIN)/python -m backend weights pull mobilesam || \
		echo "Without the weights the server starts but cannot answer;" \
			"try again later: $(BIN)/python -m backend weights pull mobilesam" >&2
