# Every target may be the first on a fresh clone: each makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: install demo judges test lint

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev,synthetic,text,speech,listening,sweeps]"
	touch $@

demo: install
	$(BIN)/wavenet data synthesize folder --out demo/corpus --source digits --speakers 4 --clips 100 --overwrite
	$(BIN)/wavenet fit --config configs/experiments/demo.yaml --run demo/run --overwrite
	$(BIN)/wavenet generate demo/run/checkpoints/last.ckpt --out demo/clips --num 12 --seconds 3 --temperature 0.9 --overwrite
	@if $(BIN)/python -c "import resemblyzer, speechmos.dnsmos" 2> /dev/null; then \
		$(BIN)/wavenet judge demo/clips --recordings demo/corpus; \
	else \
		echo "make judges installs DNSMOS and Resemblyzer, which then say how clean the clips are and whose voice they have"; \
	fi
	@echo "listen to demo/clips/*.wav, look at demo/clips/*.png; demo/run/samples holds what it sounded like on the way"

# Resemblyzer names packages that no longer install; all that it needs is in the extra.
judges: install
	$(BIN)/python -m pip install --quiet --editable ".[judges]"
	$(BIN)/python -m pip install --quiet --no-deps "resemblyzer>=0.1.4"

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
