# `make help` lists the targets. Each sets up what it needs: .venv here, the rest below .local/.
# Written for GNU make 3.81 and newer, on Linux and macOS.

PYTHON ?= python3
PORT ?= 8000
ENGINE ?= docker
IMAGE ?= recorder

PY := .venv/bin/python
READY := .venv/ready
# The stand-ins of tests/image/bases.sh have the bases' names and no digest.
STANDINS = $(shell sed -n 's/^ARG \([A-Z]*=[^@]*\).*/--build-arg \1/p' Dockerfile)
PAGE := web/static/web/app/main.js
BIOME := web/node_modules/.bin/biome
MODULES := web/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help run web test check lint format types imports audit lock pin schema schema-update integration load browser walk soak bench image image-test local-lambda deploy clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) $(PAGE) ## Run Recorder with an embedded AWS; PORT=8001 for another port
	@$(PY) manage.py runserver $(PORT)

web: $(PAGE) ## Build the recorder page; needs npm

test: $(READY) ## Run the unit tests, in two minutes
	$(PY) -m pytest -n auto -m "not soak and not check" --ignore=tests/integration --ignore=tests/browser tests

check: $(READY) ## Run the longer unit tests: every schedule, every crash, long runs
	$(PY) -m pytest -n auto -m "check and not soak" --ignore=tests/integration --ignore=tests/browser tests

lint: $(READY) $(MODULES) ## Check style and formatting: Python, the page's scripts (needs npm), shell, template.yaml
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@if [ -x $(BIOME) ]; then $(BIOME) check --error-on-warnings; else echo "There is no npm here: JavaScript is left out."; fi
	$(PY) -m tests.shell
	.venv/bin/cfn-lint template.yaml

format: $(READY) $(MODULES) ## Put style and formatting right
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	@if [ -x $(BIOME) ]; then $(BIOME) check --write; else echo "There is no npm here: JavaScript is left out."; fi

types: $(READY) ## Check types
	LOCAL=true $(PY) -m mypy .

imports: $(READY) ## Check that imports run one way
	.venv/bin/lint-imports

audit: $(READY) ## Ask whether what is pinned has known faults; needs the network, and npm
	$(PY) -m tests.audit

lock: $(READY) ## Pin anew, with hashes, what requirements*.in say; UPGRADE=--upgrade for the newest
	$(PY) -m tests.lock $(UPGRADE)

pin: ## Pin the image's bases to their digests of today; ENGINE=podman
	ENGINE=$(ENGINE) image/pin.sh

schema: $(READY) ## Check that docs/openapi.yaml is what the code says
	@mkdir -p .local
	LOCAL=true $(PY) manage.py spectacular --validate --fail-on-warn --file .local/openapi.yaml
	diff -u docs/openapi.yaml .local/openapi.yaml

schema-update: $(READY) ## Write docs/openapi.yaml
	LOCAL=true $(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

integration: $(READY) ## Run the tests on DynamoDB Local and a strict S3; needs Java 17 and npm
	$(PY) -m pytest -p tests.integration.environment -m "not soak and not load" tests/integration

load: $(READY) ## Use Recorder for three minutes, on the same peers, while they fail now and then
	$(PY) -m pytest -p tests.integration.environment -m load tests/integration

browser: $(READY) $(PAGE) ## Run the tests in a real browser, on the same peers; needs Chromium as well
	$(PY) -m pytest -m browser tests/browser

walk: $(READY) ## Do what Recorder is for against `make run`, with a restart in the middle
	$(PY) -m tests.walk

soak: $(READY) ## Run the tests that take minutes, on the same peers
	$(PY) -m pytest -n auto -m soak --ignore=tests/integration --ignore=tests/browser tests
	$(PY) -m pytest -p tests.integration.environment -m soak tests/integration

bench: $(READY) ## Measure each call beside the AWS calls that it makes, on the same peers
	$(PY) -m benchmarks.run

image: ## Build the image; ENGINE=podman or ENGINE=buildah where there is no Docker
	$(ENGINE) build -t $(IMAGE) .

image-test: $(READY) ## Test it behind a Runtime API, with gunicorn, and what is in it; needs what `integration` needs
ifeq ($(ENGINE),buildah)
	tests/image/bases.sh .local/image
	BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs buildah build --pull-never --layers $(STANDINS) -t $(IMAGE) .
else
	$(ENGINE) build -t $(IMAGE) .
endif
	ENGINE=$(ENGINE) IMAGE=$(IMAGE) $(PY) -m pytest -p tests.integration.environment tests/image

local-lambda: $(READY) ## Run the handler behind Lambda's runtime client, while `make run` runs; PORT=9000
	$(PY) -m tests.image.local $(if $(filter-out 8000,$(PORT)),$(PORT))

deploy: ## Build, push and deploy to AWS: see docs/deploy.md; STACK, ARCH, TAG, PARAMETERS
	@ENGINE=$(ENGINE) ./deploy.sh

clean: ## Remove what can be made again; the recordings in .local/aws stay
	rm -rf .venv web/node_modules web/static/web/app .local/peers .local/uppy .local/openapi.yaml staticfiles .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without npm, Recorder runs without its page.
$(PAGE): $(MODULES) $(wildcard web/src/*)
	@if command -v npm >/dev/null; then cd web && npm run --silent build; \
	else echo "There is no npm here: the recorder page is left out."; fi

# npm writes this file last of all. Without npm there is none, and each who needs it says what is left out.
$(MODULES): web/package.json web/package-lock.json
	@if command -v npm >/dev/null; then cd web && npm ci --no-audit --no-fund --silent; fi

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Recorder needs Python 3.11 or newer. Try: make PYTHON=python3.13 …")'
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
