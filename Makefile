# make demo   set up, color the example shot with the packaged weights of the best method; METHOD='matcher lvcd' compares
#             others. TORCH= takes PyTorch from pip's own index, for a GPU, in place of the smaller one for CPUs
# make test   set up, run all tests
# make report the packaged weights and every baseline on the validation clips: build/report/index.html
# make validate-matcher   the matcher's figures and sheets, about 8 minutes on two idle cores: build/validate/matcher;
#             ARGS='--docs docs/results/matcher.md' renews the document, ARGS='--films 2' is a quick look
# make validate-small   LVCD small's figures, choice of steps and sheets: build/validate/small; about 20 minutes on two
#             idle cores; ARGS='--docs docs/results/lvcd_small.md' renews the document, ARGS='quality --films 2' is a quick look
# make bench  time every part with random or packaged weights: tables in build/bench
# make docs   write docs/reference from the code
# make smoke-train   train every network for a minute on the CPU; fails unless validation improves
# make train-gpu MINUTES=8   train all packaged networks side by side on one GPU with the Python that has torch, no
#             network needed: build/gpu/<job>/export. ART is a file of `celpaint data art --still ART`
VENV ?= .venv
PYTHON ?= python3
METHOD ?= matcher
TORCH ?= --index-url https://download.pytorch.org/whl/cpu
MINUTES ?= 8
ART ?= build/still.safetensors
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
READY := $(VENV)/.ready
# LVCD needs more packages than the others
EXTRA := $(if $(filter lvcd,$(METHOD)),[lvcd],)
DEMO_READY := $(VENV)/.ready-demo$(EXTRA)

.PHONY: check test demo pictures report validate-matcher validate-small bench smoke-train train-gpu docs clean
# PyTorch comes first and alone: its own index has it without CUDA packages. Where that can't be reached, pip's own does.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): about 0.4 GB to download, 1.4 GB on the disk; a minute or two on a fast line."
	$(PIP) --no-deps --retries 1 --timeout 15 $(TORCH) -c constraints.txt torch || true
	touch $@

$(DEMO_READY): $(VENV)/.torch pyproject.toml
	$(PIP) -c constraints.txt -e '.$(EXTRA)'
	touch '$@'

$(READY): $(VENV)/.torch pyproject.toml
	@echo "Tests and training need more packages: another 0.3 GB to download, 0.7 GB on the disk."
	$(PIP) -c constraints.txt -e '.[dev]'
	touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

demo: $(DEMO_READY)
	@echo "Coloring 36 frames: about half a minute on two idle cores, longer beside other work."
	$(BIN)/python examples/demo.py $(addprefix --method ,$(METHOD))

pictures: demo
	$(BIN)/python examples/pictures.py

report: $(READY) build/art.safetensors
	$(BIN)/celpaint benchmark report --out build/report

validate-matcher: $(READY) build/art.safetensors
	$(BIN)/celpaint benchmark validate-matcher --out build/validate/matcher $(ARGS)

validate-small: $(READY) build/art.safetensors
	$(BIN)/celpaint benchmark validate-lvcd --out build/validate/small $(ARGS)

build/art.safetensors: | $(READY)
	$(BIN)/celpaint data art --out $@

bench: $(READY)
	mkdir -p build/bench
	$(BIN)/celpaint benchmark speed lvcd --steps 8 --out build/bench/lvcd.json > build/bench/lvcd.md
	$(BIN)/celpaint benchmark speed matcher > build/bench/matcher.md
	$(BIN)/celpaint benchmark speed frames > build/bench/frames.md
	$(BIN)/celpaint benchmark speed finish > build/bench/finish.md
	cat build/bench/*.md

smoke-train: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/celpaint benchmark smoke-train --minutes 1 --out build/smoke

docs: $(READY)
	$(BIN)/python docs/generate.py

train-gpu:
	PYTHONPATH=src $(PYTHON) -m celpaint.train.gpu --art $(ART) --out build/gpu --minutes $(MINUTES) $(ARGS)

clean:
	rm -rf build dist out
