# Every target sets up what it needs: Python 3.11+, make and git are enough. `make help` lists the targets.
#   make demo APP=guidance PORT=7861      one app, on a port of your choice
#   make test ARGS="-k ddpm -x -n 0"      arguments for pytest; -n 0: one process, as a debugger wants it
#   make demo PYTHON=python3.12           another Python than python3 (for the first call, which creates .venv)
# On Linux without a GPU, UV_TORCH_BACKEND=cpu in front of the first call fetches the small build of torch.

PYTHON ?= python3
BIN := .venv/bin
APP ?=
PORT ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench cards spaces pictures pins clean environment-apps environment-all

help:
	@echo "make demo      the gallery of all apps in the browser (APP=guidance: one app, PORT=7861: on that port)"
	@echo "make test      all tests (ARGS='-k ddpm': some)"
	@echo "make check     lint, format, and whether cards and Spaces are up to date"
	@echo "make bench     speed and quality beside our peers"
	@echo "make cards     write the model cards from their measurements"
	@echo "make spaces    write the Spaces from the apps"
	@echo "make pictures  take the README's pictures of the apps"
	@echo "make pins      write constraints.txt anew from pyproject.toml (ARGS=--upgrade: newest versions)"
	@echo "make clean     remove .venv and what the tools left behind"

demo: environment-apps
	@$(BIN)/genlab demo $(APP) $(if $(PORT),--port $(PORT)) $(ARGS)

test: environment-all
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: environment-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/genlab cards --check
	$(BIN)/genlab spaces --check

bench: environment-all
	@$(BIN)/python -m benchmarks $(ARGS)

cards: environment-all
	@$(BIN)/genlab cards

spaces: environment-all
	@$(BIN)/genlab spaces

pictures: environment-all
	@$(BIN)/python -m scripts.arrival guidance
	@$(BIN)/python -m scripts.arrival body_shape
	@$(BIN)/python -m scripts.arrival fit_pose
	@$(BIN)/python -m scripts.arrival latent_space
	@$(BIN)/python -m scripts.arrival clip_score
	@$(BIN)/python -m scripts.arrival text_to_image
	@$(BIN)/python -m scripts.pictures $(ARGS)

# One line a package, for every platform. torch itself pins CUDA's packages, differently for each of its builds.
pins: environment-all
	$(BIN)/uv pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 --quiet \
	  --extra all --extra body --extra dev --no-annotate --custom-compile-command "make pins" --output-file constraints.txt $(ARGS)
	@grep -vE '^(cuda|nvidia|triton)' constraints.txt >constraints.txt.new && mv constraints.txt.new constraints.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment-apps environment-all: environment-%:
	@command -v $(PYTHON) >/dev/null || { echo "genlab: there is no $(PYTHON) here: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) scripts/environment.py $(if $(filter all,$*),all$(comma)dev,$*)

comma := ,
