# Everything happens in .venv, whether or not a virtualenv is active. PYTHON is the interpreter that .venv is made from.
PYTHON ?= python3
EXTRAS ?= test
ALL    ?= test,torch,web,serve,notebook,docs
VENV   := .venv
RUN    := $(VENV)/bin/python -m
READY  := $(VENV)/.ready-
# Where Python does not keep its bytecode, each process of a test compiles all that it imports.
export PYTHONDONTWRITEBYTECODE :=
NPM    := examples/node_modules/.package-lock.json
HEADER := examples/train_anywhere/include/onnxruntime_c_api.h

.NOTPARALLEL:
.PHONY: demo docs web node headers java chromium graphviz test test-slow test-all lint format bench install clean

# One thread: the products are small, and threads that wait for each other on a busy machine cost more than they bring.
demo: $(READY)plot
	OPENBLAS_NUM_THREADS=1 $(RUN) models.vowels

# The page that trains models; see docs/training_anywhere.md.
web: $(READY)plot node
	$(RUN) examples.web

# The site: build/docs/index.html. A warning is an error.
docs: $(READY)docs
	$(RUN) sphinx -W --keep-going -j auto -b html -d build/doctrees docs build/docs

# What the tests of examples need beside Python; without it they are skipped.
node: $(NPM)
$(NPM): examples/package.json examples/package-lock.json
	cd examples && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

headers: $(HEADER)
$(HEADER): examples/train_anywhere/get_headers.sh
	examples/train_anywhere/get_headers.sh
	@touch $@

APT := DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends

java:
	@command -v javac && test -e /usr/share/java/jna.jar || { apt-get -qq update && \
	    $(APT) libjna-java $$(command -v javac >/dev/null || echo default-jdk-headless) >/dev/null; }

chromium graphviz:
	@command -v $(if $(filter graphviz,$@),dot,$@) || { apt-get -qq update && $(APT) $@ >/dev/null; }

# The fast tier. Two processes: half the time on two cores, and the memory of two.
test: lint
	$(RUN) pytest -n 2 -m "not slow and not exhaustive" $(COVERAGE)

# The slow tier. PyTorch is the oracle.
SLOW := slow and not exhaustive
test-slow: install
	$(RUN) pytest -n 2 -m "$(SLOW)" --durations=15 $(COVERAGE)

# All tests, with their coverage; to measure it takes half as long again.
test-all:
	rm -f .coverage
	$(MAKE) test EXTRAS=$(ALL) COVERAGE="--cov --cov-report="
	$(MAKE) test-slow EXTRAS=$(ALL) SLOW="slow or exhaustive" COVERAGE="--cov --cov-append --cov-fail-under=97"

lint: install
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: install
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: $(READY)bench
	$(RUN) benchmarks

install: $(READY)$(EXTRAS)

# One stamp for each set of extras; several sets may share .venv.
.PRECIOUS: $(READY)%
$(READY)%: pyproject.toml | $(VENV)/.made
	@echo "installing lucid-onnx[$*] into $(VENV)"
	@$(RUN) pip install -qq --no-compile --disable-pip-version-check --no-input -e '.[$*]'
	@touch $@

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build docs/api docs/tutorials docs/sg_execution_times.rst examples/tutorials/*.onnx dist *.egg-info out benchmarks/out examples/web/out examples/node_modules \
	    examples/train_anywhere/include htmlcov .coverage .coverage.* .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
