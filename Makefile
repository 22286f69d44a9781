# On a machine with Python >= 3.11 and make, `make quickstart` and `make test` need no other preparation.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAST := not slow and not gpu and not soak
.PHONY: quickstart init test test-slow test-gpu test-soak lint structure reference backbones gpu-kit gpu-check clean

# Rebuilt whenever the list of requirements changes.
$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thaw needs Python >= 3.11, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[quickstart,dev]'
	touch $@

quickstart: $(VENV)/installed
	$(BIN)/thaw search examples/quickstart.yaml

# A search file for your own photos: make init PHOTOS=folder
init: $(VENV)/installed
	$(BIN)/thaw init "$(PHOTOS)"

test: $(VENV)/installed
	$(BIN)/python -m pytest -m '$(FAST) and not ray' --numprocesses 2 --dist loadfile --timeout 300 --durations 10
	$(BIN)/python -m pytest tests/search -m '$(FAST) and ray' --numprocesses 2 --dist loadfile --timeout 300 --durations 10

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m 'slow and not alone and not soak' --numprocesses 2 --dist loadfile --timeout 900 --durations 10
	$(BIN)/python -m pytest -m 'slow and alone' --timeout 900 --durations 10

test-gpu: $(VENV)/installed
	$(BIN)/python -m pytest -m gpu

test-soak: $(VENV)/installed
	$(BIN)/python -m pytest -m soak -s
	THAW_EXAMPLES=800 $(BIN)/python -m pytest -m hypothesis --hypothesis-profile random

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --package thaw

structure: $(VENV)/installed
	$(BIN)/python -m pytest -q -s tests/test_structure.py

reference: $(VENV)/installed
	$(BIN)/python -m thaw.search.reference > docs/reference.md

# The table in docs/backbones.md.
backbones: $(VENV)/installed
	$(BIN)/python -m thaw.search.backbones docs/backbones.md

# Pack what a GPU machine without network access lacks: make gpu-kit DATA=folder WEIGHTS=file GPU_PYTHON=3.12
gpu-kit: $(VENV)/installed
	$(BIN)/python -m benchmarks.gpu.pack $(if $(DATA),--data "$(DATA)") $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(GPU_PYTHON),--python $(GPU_PYTHON))

# Uses the packed kit if there is one, else the packages installed here. THAW_DEVICE=cpu tries it without a GPU.
PACKED := $(wildcard .gpu/site-*.tar.xz)
gpu-check: $(if $(PACKED),,$(VENV)/installed)
	$(if $(PACKED),$(PYTHON),$(BIN)/python) -m benchmarks.gpu.check

clean:
	rm -rf $(VENV) build *.egg-info
