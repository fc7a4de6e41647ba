# make book | make test | make reproduce PROFILE=quick -- each makes the environment first where it is missing.
PROFILE ?= smoke
STUDY ?=
DEVICE ?=
ENGINE ?=
PORT ?= 8000

PY := PYTHONPATH=lib .venv/bin/python
START := $(shell date +%s)
ELAPSED = now=$$(date +%s); s=$$((now - $(START))); echo "$@: $$((s / 60)) min $$((s % 60)) s"

.PHONY: help book test reproduce serve lab lint bench drawing pdf release archive soak clean environment
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile

.venv/.made: requirements.lock .ci/environment
	@sh .ci/environment

environment: .venv/.made ## the virtual environment, from the lock

book: environment ## every notebook on the recorded results, and the site in build/html/
	@$(PY) book/_tools/build_book.py
	@$(ELAPSED)

reproduce: environment ## train anew into build/results: PROFILE=smoke|quick|desk|paper STUDY= DEVICE= ENGINE=
	@$(PY) book/_tools/build_book.py --train --profile "$(PROFILE)" \
	  $(if $(STUDY),--study "$(STUDY)") $(if $(DEVICE),--device "$(DEVICE)") $(if $(ENGINE),--engine "$(ENGINE)")
	@$(ELAPSED)

test: lint ## linters and the whole test suite, the site in a real browser included
	@$(PY) -m pytest -n $$($(PY) -c "from tickets.running.engines import cores; print(cores())") --dist loadfile --no-loadscope-reorder
	@$(ELAPSED)

lint: environment ## ruff, the layers of the library, workflow files, notebooks without outputs
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@mkdir -p build
	@.venv/bin/lint-imports > build/.imports 2>&1 || { cat build/.imports; exit 1; }
	@.venv/bin/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff
	@find notebooks -name '*.ipynb' -exec .venv/bin/nbstripout --keep-id --verify {} +

serve: ## the built site at http://localhost:PORT
	@echo "http://localhost:$(PORT)" && $(PY) -m http.server --bind 127.0.0.1 --directory build/html $(PORT)

lab: environment ## the notebooks in JupyterLab, as they stand
	@.venv/bin/jupyter lab --notebook-dir .

bench: environment ## speed against a plain loop, into build/bench.json
	@$(PY) -m benchmarks $(if $(DEVICE),--device "$(DEVICE)")
	@$(ELAPSED)

drawing: environment ## the networks of the page that one draws on, trained anew into book/results
	@$(PY) book/_tools/drawing.py
	@$(ELAPSED)

pdf: book ## the whole book as one PDF, in build/release/; needs a Chromium
	@$(PY) book/_tools/pdf.py
	@$(ELAPSED)

release: book ## the recorded tickets in one archive, and the book as a PDF, with checksums, in build/release/
	@$(PY) book/_tools/release.py
	@$(PY) book/_tools/pdf.py
	@$(ELAPSED)

archive: environment ## the book to keep: pages by plain Sphinx, sources, checksums, in one archive in build/release/
	@$(PY) book/_tools/archive.py
	@$(ELAPSED)

soak: environment ## 200 random kills of two runs on one store, and what they left
	@$(PY) tests/soak.py 200
	@$(ELAPSED)

clean: ## everything generated but the local results
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name results -exec rm -rf {} +; fi
	@find lib tests book -name __pycache__ -prune -exec rm -rf {} +
