# avesound: `make demo` and `make test` work from a clean clone with nothing prepared.
SHELL := /bin/bash
VENV  ?= .venv
BIN   := $(VENV)/bin
JOBS  ?= 3

.DEFAULT_GOAL := help
.PHONY: help install reinstall data lock demo test test-faults test-cluster test-newest test-lowest house bench bench-before bench-page card scale gpu gpu-login lab notebooks readme stills docs docs-test clean tidy

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made: requirements.txt settings.ini setup.py .ci/env
	@.ci/env "$(VENV)"
	@touch $@

install: $(VENV)/.made ## the environment (.venv), from requirements.txt

reinstall: ## clean, then install
	@$(MAKE) --no-print-directory clean
	@$(MAKE) --no-print-directory install

data: install ## AVE in data/ave: clips, annotations with splits, sound (ZIP=file or URL=address: not from Google Drive)
	@$(BIN)/avesound download --out_dir data/ave $(if $(ZIP),--zip "$(ZIP)") $(if $(URL),--url "$(URL)")
	@$(BIN)/avesound extract-wav --vid_dir data/ave/raw/AVE --out_dir data/ave/ave_wav

lock: install ## requirements.txt anew from settings.ini
	@set -o pipefail; { echo "# The environment of avesound, pinned. Made from settings.ini by \`make lock\`; do not edit."; \
	   $(BIN)/uv pip compile --quiet --refresh-package avesound --universal --python-version 3.11 --no-header --extra dev --extra view setup.py | sed -E 's# \((.*/)?setup\.py\)##'; } > requirements.new
	@mv requirements.new requirements.txt

demo: install ## the whole workflow, offline, on synthetic clips with the embedded default encoder
	@$(BIN)/avesound demo --out_dir demo

test: install ## every notebook and every test, in one run
	@JOBS=$(JOBS) .ci/pytest $(BIN)/python

test-faults: install ## the long trials of what a run survives: killed fifty times, two thousand damaged files
	@JOBS=$(JOBS) .ci/pytest $(BIN)/python -m faults tests

test-cluster: install ## the tutorial's scripts on Slurm and Grid Engine, installed from Debian, with tasks killed and put back (as root)
	@.ci/test_cluster $(BIN)/python

test-newest: install ## the same with the newest packages that settings.ini allows, in .venv-newest
	@VENV="$(VENV)" JOBS=$(JOBS) .ci/test_with highest .venv-newest

test-lowest: install ## the same with the oldest, in .venv-lowest
	@VENV="$(VENV)" JOBS=$(JOBS) .ci/test_with lowest-direct .venv-lowest

house: install ## the shape of the package in numbers
	@$(BIN)/python .ci/house.py

bench: install ## speed, as ratios inside one run (writes bench/); LINES="decode, video tower": these alone
	@$(BIN)/python -m benchmarks --out_dir bench $(if $(LINES),--only "$(LINES)")

bench-before: install ## the code of the pinned commit beside this one, in bench/before, for the lines that compare with it (they put it there, too)
	@$(BIN)/python -m benchmarks.before

bench-page: bench ## the same and how long AVE takes with each encoder, and the pages that show them
	@$(BIN)/python -m benchmarks.how_long --out bench/how_long.json
	@$(BIN)/python -m benchmarks.page --bench bench

card: install ## an encoder measured on the synthetic sets, its card kept, the page of results written (OPTIONS="--encoder A --audio_encoder B")
	@$(BIN)/python -m benchmarks.cards $(OPTIONS)

scale: install ## the numbers on the page of the documentation on scale, measured anew (minutes)
	@$(BIN)/python -m benchmarks.scale_page --page nbs/scale.md

gpu: ## on a machine with a GPU: modules, environment, what the GPU can do (or that none is visible)
	@VENV="$(VENV)" MAKE="$(MAKE)" .ci/gpu

gpu-login: ## an interactive job with 1 GPU and 24 GB of memory for 4 hours, from the scheduler that answers
	@GPU_ARGS="$(GPU_ARGS)" .ci/gpu_login

lab: install ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab nbs

notebooks: install ## after an edit: export, run every notebook, clean, README
	@test -d "$${AVESOUND_TEST_DATA:-../shared/data}/ave" || echo "notebooks: no AVE annotations here (AVESOUND_TEST_DATA): what some chapters say of AVE will be of made-up ones; do not commit those."
	@$(BIN)/nbdev_export
	@for nb in nbs/*.ipynb nbs/tutorials/*.ipynb nbs/reference/*.ipynb; do echo "run $$nb"; $(BIN)/jupyter nbconvert --log-level ERROR --to notebook --execute --inplace --ExecutePreprocessor.store_widget_state=False "$$nb" || exit 1; done
	@$(BIN)/nbdev_clean
	@$(MAKE) --no-print-directory readme stills

readme: install ## README.md from nbs/index.ipynb
	@$(BIN)/python .ci/readme.py README.md

stills: install ## the stills that the documentation shows
	@$(BIN)/python .ci/stills.py nbs/stills

docs: install ## the documentation site in _docs (needs Quarto)
	@command -v quarto >/dev/null || { echo "docs: Quarto is needed and is not here: https://quarto.org/docs/download"; exit 1; }
	@PYTHONPATH=.ci $(BIN)/nbdev_docs
	@$(BIN)/python .ci/pages.py _proc _docs
	@$(BIN)/python .ci/finish.py _docs

docs-test: docs ## the documentation in a real browser: searches, widths, contrast, keys (needs Quarto and Chromium)
	@JOBS=$(JOBS) .ci/pytest $(BIN)/python -m site tests

clean: ## delete the environments (.venv, .venv-newest, .venv-lowest)
	@rm -rf "$(VENV)" .venv-newest .venv-lowest

tidy: ## remove what runs and builds leave
	@rm -rf demo bench build dist _docs _proc nbs/nbdev.yml .pytest_cache .hypothesis .ruff_cache .mypy_cache *.egg-info
	@find . -name __pycache__ -not -path './$(VENV)/*' -not -path './.venv-*/*' -prune -exec rm -rf {} +
