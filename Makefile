# Each target makes the environment it needs; `make PYTHON=python3.12 demo` chooses
# another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The environment of the lowest versions that pyproject.toml allows.
LOWEST = $(VENV)-lowest
# The device of tests that do not choose one: `make test DEVICE=cuda`.
DEVICE ?= cpu

# The environment that has nothing but the wheel and what it depends on.
FRESH = $(VENV)-fresh

.PHONY: demo docs test test-lowest lint dist clean

demo: $(VENV)/installed
	$(BIN)/python -m skdpnet demo

test: $(VENV)/installed-tests
	DEVICE=$(DEVICE) $(BIN)/python -m pytest

# The site, in docs/_build/html. A warning is an error, and so is a link within the site
# that leads nowhere. `make docs SKDPNET_GALLERY=0` leaves the examples out.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

test-lowest: $(LOWEST)/installed-tests
	$(LOWEST)/bin/uv pip list --python $(LOWEST)/bin/python
	$(LOWEST)/bin/python -m pytest

lint: $(VENV)/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dist: $(VENV)/installed-tests
	rm -rf dist
	$(BIN)/pip install --quiet --editable ".[dev]"
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv --clear $(FRESH)
	$(FRESH)/bin/pip install --quiet dist/*.whl
	$(FRESH)/bin/python tests/smoke.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-tests: $(VENV)/installed
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --editable ".[docs]"
	touch $@

$(LOWEST)/installed-tests: pyproject.toml
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python \
		--resolution lowest-direct --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(FRESH) dist
	rm -rf docs/_build docs/gallery docs/generated docs/gen_backreferences
