# Two commands: `make demo` shows Pleura at work, `make test` passes its tests.
# Everything is installed into .venv (the demo) and .venv-test (the tests) below this folder.

PYTHON ?= python3
DEMO   := .venv
TEST   := .venv-test
AUDIT  := .venv-audit

# On Linux pip may choose PyTorch's build for GPUs, gigabytes that the tests do not use. Name PyTorch's
# index of CPU builds to avoid it: make test TORCH_INDEX='--index-url ADDRESS' (see PyTorch's installation page).
TORCH  := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
TORCH_INDEX ?=

.PHONY: demo test lint types unit audit clean

demo: $(DEMO)/.installed
	$(DEMO)/bin/pleura demo

test: lint types unit

lint: $(TEST)/.installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

types: $(TEST)/.installed
	$(TEST)/bin/mypy

unit: $(TEST)/.installed
	$(TEST)/bin/pytest

# What is shipped (the base install and the service) against known vulnerabilities, and its bill of
# materials (CycloneDX). Needs the network; the tools are in an environment of their own.
audit: $(AUDIT)/.installed
	mkdir -p build
	$(AUDIT)/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	    --output-file build/sbom.cdx.json $(AUDIT)/shipped/bin/python
	$(AUDIT)/shipped/bin/pip freeze --exclude pleura > build/shipped.txt
	$(AUDIT)/tools/bin/pip-audit --strict --disable-pip --no-deps -r build/shipped.txt

$(AUDIT)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(AUDIT)/shipped
	$(AUDIT)/shipped/bin/pip install --quiet -c constraints.txt '.[serve]'
	$(PYTHON) -m venv $(AUDIT)/tools
	$(AUDIT)/tools/bin/pip install --quiet pip-audit cyclonedx-bom
	touch $@

$(DEMO)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet -c constraints.txt -e .
	touch $@

$(TEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet $(TORCH_INDEX) $(TORCH)
	$(TEST)/bin/pip install --quiet -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(DEMO) $(TEST) $(AUDIT) build dist pleura-demo .mypy_cache .pytest_cache .ruff_cache
