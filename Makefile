# Two commands, each with all its own set-up in .venv:
#   make test   lint, types, import contracts, tests
#   make demo   the whole story on generated data
# And two more:
#   make docs        the documentation as a site, in site/
#   make notebooks   runs notebooks/, each in a kernel of its own
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: test demo docs notebooks lint clean

test: lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(STAMP)
	$(BIN)/spikeyolo demo

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/make_reference.py docs/reference
	$(BIN)/zensical build --clean --strict

notebooks: $(STAMP)
	$(BIN)/python -m pytest -m long tests/test_notebooks.py

# Installed again only when the dependencies change; the package itself is editable.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch>=2.6"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
