# Every target does its own set-up: virtual environment, locked dependencies, native build.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
BENCH_LOCK := requirements/bench.txt
DEMO_HOME := out/stdlib_index/home
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
JOBS ?= auto

.PHONY: help setup demo test test-rust test-python test-slow bench package charts figures docs deny hooks lint lint-rust lint-python lint-types lint-stubs format lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: $(LOCK)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"factflow-engine needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Try: make PYTHON=python3.11")'
	@command -v cargo >/dev/null || { echo "factflow-engine builds a Rust extension; install stable Rust (rustup) so that 'cargo' is on PATH."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

$(VENV)/.built: $(VENV)/.installed pyproject.toml $(RUST_SOURCES)
	VIRTUAL_ENV=$(abspath $(VENV)) PIP_QUIET=1 $(BIN)/maturin develop --release --quiet --locked
	@touch $@

setup: $(VENV)/.built $(VENV)/.bench-installed ## virtual environment, locked dependencies, native build

demo: setup ## index the standard library's docstrings with a real pipeline
	$(BIN)/factflow run examples/stdlib_index/pipeline.yaml --adapters examples/stdlib_index/adapters.py --home $(DEMO_HOME)
	@echo "The index and the summary lie in out/stdlib_index/:"; ls -l out/stdlib_index/
	@echo "What was parsed lies in the home $(DEMO_HOME): factflow storage list --home $(DEMO_HOME)"
	@echo "Kill it, recover it, and run it again from there: examples/stdlib_index/README.md"

test: setup test-rust test-python ## the test suite (README's command)

test-rust:
	cargo test --quiet --locked -p factflow-core # the examples of its documentation too

test-python: setup
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-slow: setup ## long soaks, every state of the model of deadlocks, and a minute of each fuzz target
	cargo test --quiet --release --locked -p factflow-core --lib --test fuzz -- --ignored
	$(BIN)/python -m pytest -n $(JOBS) -m slow --timeout 900

# After the build, for both install into the environment, and two at a time read what the other has half written.
$(VENV)/.bench-installed: $(BENCH_LOCK) $(VENV)/.installed | $(VENV)/.built
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(BENCH_LOCK)
	@touch $@

bench: setup ## measure the engine beside what else its users could run
	$(BIN)/python -m bench all

package: setup ## source distribution and wheels into dist/, each installed and tried
	.ci/packages

charts: setup ## draw the benchmark records again, into out/bench
	$(BIN)/python -m bench.chart

docs: setup ## write the reference pages from what the engine reads
	$(BIN)/python docs/generate.py

figures: setup ## write the figures of pages from the newest records
	$(BIN)/python -m bench.readme

# In parts, so that `make --jobs` runs them beside each other. Those in Python read the package where it is installed.
lint: lint-python lint-types lint-stubs lint-rust ## linters, type checkers, layers, stubs, spelling, Rust

lint-rust:
	cargo fmt --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --no-deps -p factflow-core

lint-types: $(VENV)/.built
	$(BIN)/basedpyright

lint-python: $(VENV)/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

lint-stubs: $(VENV)/.built # and mypy, whose cache stubtest reads
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest factflow_engine._native

# Not part of `lint`: building cargo-deny takes minutes, and its advisories come from a repository on the network.
target/tools/bin/cargo-deny:
	cargo install cargo-deny --quiet --locked --version 0.20.2 --root target/tools

deny: target/tools/bin/cargo-deny ## licences, sources and versions of the Rust dependencies
	target/tools/bin/cargo-deny --offline --locked check --hide-inclusion-graph licenses bans sources

hooks: setup ## check commits before they are made
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type commit-msg

format: setup ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt

lock: $(VENV)/.installed ## resolve dependencies again and rewrite the lock files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --extra http --extra objects --extra postgres --extra parquet --group checks pyproject.toml -o $(LOCK)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --constraint $(LOCK) --group bench -o $(BENCH_LOCK)
	cargo update --workspace --quiet

clean: ## remove what the other targets made
	rm -rf $(VENV) target out dist
