# Kefu Graph. On a bare machine with python3 (3.11 or newer), venv and make:
#   make run    the service with simulated peers and sample knowledge
#   make test   everything that CI checks

PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_PROCESSES ?= 3

# Without a home that can be written uv has no place for its cache.
HOME_USABLE := $(shell test -n "$$HOME" -a -w "$$HOME" && echo yes)
UV := $(if $(HOME_USABLE),,UV_NO_CACHE=1 )$(BIN)/uv
COMPILE := $(UV) pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-annotate --no-header pyproject.toml

AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.DEFAULT_GOAL := help

.PHONY: browser help setup run test lint format bench crash soak desk-script fuzz tianwang-demo tuhui-demo eval train lock readme clean

help:
	@echo "make setup   create .venv and install what is locked"
	@echo "make run     start service and sandbox with sample knowledge"
	@echo "make test    formatting, lint, import direction, types, tests"
	@echo "make bench   benchmarks            make crash   kill -9 runs (minutes)"
	@echo "make soak    eight hours of traffic in SOAK_MINUTES (20): is memory flat, and all else?"
	@echo "make desk-script     hand-overs to people, played on PostgreSQL and two processes"
	@echo "make fuzz    minutes of made-up requests against the whole API"
	@echo "make tianwang-demo   watch Tianwang's three scenarios being played"
	@echo "make tuhui-demo      watch a picture on its way to a designer and back"
	@echo "make lint    the static checks     make format  format and fix"
	@echo "make eval    measure retrieval, write docs/retrieval.md (KEFU_EVAL_DATA: more sets)"
	@echo "make train   retrain classifier and retrieval model"
	@echo "make lock    refresh the lock files"
	@echo "make readme  rewrite the generated parts of the READMEs"
	@echo "make clean   remove .venv and caches (never ./data)"

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Kefu Graph needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing what is locked into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: setup
	@echo "网页与试用  http://127.0.0.1:6060/"
	@echo "接口文档    http://127.0.0.1:6060/docs"
	@echo "沙箱        http://127.0.0.1:6061/"
	@echo "人工坐席    http://127.0.0.1:6060/desk  添加坐席：$(BIN)/kefu agent add 账号 --role admin"
	@echo "按 Ctrl-C 停止。"
	@exec $(BIN)/kefu serve --sandbox --samples

# Three processes keep two cores busy: tests wait for services a third of their time. A test file
# stays in one process, for its fixtures; files in order, so that the long browser and service tests
# come early. A process that dies is not replaced: that can hang (pytest-xdist 3.8).
# More threads of linear algebra than cores wait for each other, spinning. Compiled modules are kept
# whatever the environment says: without them each process begins ten seconds later.
# What fails is run again, twice at most: a fault of ours fails again, a busy machine's does not. Such
# tests are named at the end, and more than a few of them fail the run (tests/conftest.py).
test: lint browser
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --reruns 2 --reruns-delay 3

# The chat page is tested in a real browser, Debian's; OCR with pictures of Chinese text; printed
# commands with the programs that they name; a second level of memory with a real Redis (at run level
# 1 its package starts no server).
browser:
	@{ command -v chromium && command -v curl && command -v sqlite3 && command -v redis-server \
		&& command -v promtool \
		&& PATH="$$PATH:/usr/sbin" command -v nginx && command -v systemd-analyze \
		&& fc-list :lang=zh 2>/dev/null | grep .; } >/dev/null || { \
		echo "Installing chromium, a Chinese font, curl, sqlite3, redis-server, prometheus, nginx and systemd from Debian's packages ..."; \
		$(AS_ROOT) apt-get update -qq && \
		$(AS_ROOT) env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends chromium fontconfig fonts-wqy-zenhei curl sqlite3 redis-server prometheus nginx-light systemd >/dev/null; }

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup
	$(BIN)/python -m tests.bench

crash: setup
	$(BIN)/python -m tests.crash
	$(BIN)/python -m tests.crash --tasks --kills 50
	$(BIN)/python -m tests.crash --kf
	$(BIN)/python -m tests.crash --workers 2 --kills 30 --freezes 1
	$(BIN)/python -m tests.crash --workers 2 --kf --freezes 1

soak: setup browser
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak --report docs/soak.md

desk-script: setup
	$(BIN)/python -m tests.desk_script --database postgresql --processes 2

fuzz: setup
	$(BIN)/python -m tests.fuzz

tianwang-demo: setup
	@$(BIN)/python -m tests.demo.tianwang

tuhui-demo: setup
	@$(BIN)/python -m tests.demo.tuhui

# The house set, and each folder of $KEFU_EVAL_DATA with dev/faq.jsonl and dev/queries.jsonl.
eval: setup
	$(BIN)/python -m tests.evaluation

train: setup
	$(BIN)/python -m graphs.classifier.train
	$(BIN)/python -m knowledge.train

lock: setup
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --output-file requirements-dev.lock
	@! grep -nE '://' requirements.lock requirements-dev.lock

readme: setup
	$(BIN)/kefu readme

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
