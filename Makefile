# Each target makes its own .venv the first time (with uv where it is installed, else the standard library).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
E2E_CACHE ?= .cache/agents

.PHONY: run test check kills e2e e2e-agents signals bench bench-seed agents keys snapshots prices format clean

run: $(STAMP)
	$(BIN)/tokentop $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n 3 $(ARGS)
	@if command -v npm >/dev/null 2>&1; then echo "real clients: 'make e2e' runs them"; \
	else echo "LEFT OUT: the end-to-end tests with real clients need npm, which is not installed here"; fi

# 500 kills of fake agents by the keys of the screen; 10 to 30 minutes. `make test` does 60. KILLS_SEED=N repeats one.
# Where the kernel lets it, in a pid namespace: what else runs on the machine is then neither looked at nor in the way.
NAMESPACE := unshare --user --map-root-user --pid --fork --mount-proc --kill-child
kills: $(STAMP)
	@apart=; if $(NAMESPACE) true 2>/dev/null; then apart='$(NAMESPACE)'; fi; \
	KILLS=$(or $(KILLS),500) $$apart sh -c '"$$@"; exit $$?' sh \
	  $(BIN)/python -m pytest -n 0 -s tests/test_kills.py $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/make_agents_table.py --check
	$(BIN)/python scripts/make_keys_table.py --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: $(STAMP)
	tests/e2e/install_clients.sh $(E2E_CACHE)
	AGENTS_DIR=$(abspath $(E2E_CACHE)) $(BIN)/python -m pytest -m e2e tests/e2e $(ARGS)

# Every client of the table; gigabytes. CLIENTS="pi qwen" takes these.
e2e-agents: $(STAMP)
	tests/e2e/install_clients.sh $(E2E_CACHE) $(or $(CLIENTS),all)
	AGENTS_DIR=$(abspath $(E2E_CACHE)) $(BIN)/python -m pytest -m e2e_agents tests/e2e $(ARGS)

# docs/signals.md from what the last e2e-agents has seen.
signals: $(STAMP)
	$(BIN)/python scripts/make_signals_table.py

bench: $(STAMP)
	$(BIN)/python bench/run.py $(ARGS)

# A state directory with 10 million events in 50,000 sessions, about 1 GB: STATE=DIR, which must be new.
bench-seed: $(STAMP)
	$(BIN)/python bench/seed_history.py --state $(or $(STATE),.cache/bench/seeded-10000000) $(ARGS)

# Writes tests/ui/snapshots/ anew: every screen and dialog at three sizes. Look at the difference before you keep it.
snapshots: $(STAMP)
	TOKENTOP_SNAPSHOTS=write $(BIN)/python -m pytest -n 2 tests/ui/test_snapshots.py $(ARGS)
	git --no-pager diff --stat -- tests/ui/snapshots

agents: $(STAMP)
	$(BIN)/python scripts/make_agents_table.py

keys: $(STAMP)
	$(BIN)/python scripts/make_keys_table.py

prices: $(STAMP)
	$(BIN)/python scripts/make_prices.py

$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  test -d $(VENV) || uv venv -q --python $(PYTHON) $(VENV); \
	  uv pip install -q --python $(BIN)/python --compile-bytecode -e . --group dev; \
	else \
	  test -d $(VENV) || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -e . --group dev; \
	fi
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache
