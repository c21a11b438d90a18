# make up | test | check | soak | fuzz | bench | install | clean: the README says what each is for
PYTHON ?= python3
VENV ?= .venv
PREFIX ?= $(HOME)/.local
BIN = $(VENV)/bin

.PHONY: up test check soak fuzz bench install environment test-environment clean

environment:
	@$(PYTHON) tools/environment.py $(VENV) server

test-environment:
	@$(PYTHON) tools/environment.py $(VENV) server test

up: environment
	@exec $(BIN)/heimdall up

test: test-environment
	$(BIN)/pytest $(TESTS)

soak: test-environment
	HEIMDALL_REPETITIONS=10 $(BIN)/pytest $(TESTS)

fuzz: test-environment
	PYTHONPATH=.:tests $(BIN)/python tests/bad_input/fuzz.py

bench: test-environment
	$(BIN)/python -m bench $(ONLY)

check: test-environment
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.document --check

install: environment
	@mkdir -p $(PREFIX)/bin
	@ln -sf $(abspath $(BIN))/heimdall $(PREFIX)/bin/heimdall
	@echo "heimdall is installed: $(PREFIX)/bin/heimdall"

clean:
	rm -rf $(VENV) build dist *.egg-info
