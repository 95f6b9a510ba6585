# Every target may be the first on a fresh clone: each makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: install demo test lint

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev,synthetic,text,speech]"
	touch $@

demo: install
	$(BIN)/wavenet data synthesize folder --out demo/corpus --speakers 4 --clips 100 --overwrite
	$(BIN)/wavenet fit --config configs/experiments/demo.yaml --run demo/run --overwrite
	$(BIN)/wavenet generate demo/run/checkpoints/last.ckpt --out demo/clips --seconds 2 --overwrite
	@echo "listen to demo/clips/*.wav, look at demo/clips/*.png; demo/run/samples holds what it sounded like on the way"

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
