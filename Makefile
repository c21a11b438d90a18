# make up | agent | test | check | lock | soak | fuzz | bench | install | clean: the README says what each is for
PYTHON ?= python3
VENV ?= .venv
PREFIX ?= $(HOME)/.local
BIN = $(VENV)/bin

.PHONY: up agent test check lock soak fuzz bench install environment test-environment clean

environment:
	@$(PYTHON) tools/environment.py $(VENV) server

test-environment:
	@$(PYTHON) tools/environment.py $(VENV) server test

up: environment
	@exec $(BIN)/heimdall up

agent: environment
	@$(BIN)/python -m tools.agent_file

# a file at a time in each of three processes: most tests wait for other processes
PYTEST = $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test: test-environment
	$(PYTEST) $(TESTS)

soak: test-environment
	HEIMDALL_REPETITIONS=10 $(PYTEST) $(TESTS)

fuzz: test-environment
	PYTHONPATH=.:tests $(BIN)/python tests/bad_input/fuzz.py

bench: test-environment
	$(BIN)/python -m bench $(ONLY)

check: test-environment
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 -p core -p agents -m heimdall.agent -m heimdall.command
	$(BIN)/vermin --quiet --violations --target=3.9- --no-tips core agents heimdall/agent.py heimdall/command.py
	$(BIN)/lint-imports
	$(BIN)/python -m tools.document --check
	$(BIN)/python -m tools.lock

# every version anew, for every platform and Python that pyproject.toml allows
lock: test-environment
	$(BIN)/pip install --disable-pip-version-check -q uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --python-version 3.11 --no-header \
		--extra server pyproject.toml --output-file requirements/server.txt

install: environment
	@mkdir -p $(PREFIX)/bin
	@ln -sf $(abspath $(BIN))/heimdall $(PREFIX)/bin/heimdall
	@echo "heimdall is installed: $(PREFIX)/bin/heimdall"

clean:
	rm -rf $(VENV) build dist *.egg-info
