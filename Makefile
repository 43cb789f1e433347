# Everything a new machine needs: Python >= 3.11, make, git. Each target installs what it lacks.
#   make demo   the whole pipeline on real drawings, with a table and pictures
#   make search the demo with the search of schedules, which makes deploy/demo/schedule.json; 40 minutes
#   make test   the tests
#   make slow   the tests that take minutes: Ray Train workers, torch.compile
#   make lint   ruff and mypy
#   make docs   the documentation as a site, into site/
#   make bench  what the paper-size CRF costs beside the U-Net's evaluations (bench-crf), and how fast
#               the latent store is beside its peers (bench-store): half an hour, 4 GB of disk
#   make bench-stages   encode and teach beside a bare loop, and what a job costs as its shards grow; 40 minutes
#   make bench-inside   what scalars and a CRF inside a schedule are worth, trained on where it ends; an hour
#   make ablation   which of its parts earn their place, against every control; about an hour. The controls alone
#               take a quarter of it (ablation-controls). FRONT=schedule.json adds the schedules of a search
#   make notebook   run docs/browse.ipynb again, on what deploy/demo/late.yaml makes
#   make chaos  kill -9 at random moments, RUNS=100 times, and endpoints that hang; about an hour
#   make cluster-test   every stage on a Ray cluster of Linux namespaces, whose nodes share nothing but a bucket: one is
#               killed, the run is cancelled and started again; needs root, 15 minutes
#   make image-check  run the Dockerfile's steps without a registry, on a Debian made here; buildah, mmdebstrap, root
#   make ui     Prefect server and worker with a deployment of every stage

PYTHON ?= python3
BIN := .venv/bin
space := $(subst ,, )
# Each of many processes would compile torch and diffusers anew, which takes longer than importing them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: env demo search test slow lint docs bench bench-crf bench-store bench-stages bench-inside ablation ablation-controls notebook chaos cluster-test image-check ui clean
env: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentcrf needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || echo "no uv: installing with pip, which takes longer"
	UV_FIND_LINKS="$(subst $(space),$(comma),$(PIP_FIND_LINKS))" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]' \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
comma := ,

demo: env
	$(BIN)/latentcrf run demo --root runs/demo
	$(BIN)/latentcrf generate --prompt "a red apple" --guidance-scale 4 --output runs/demo/red-apple.png --root runs/demo

search: env
	$(BIN)/latentcrf run deploy/demo/search.yaml --root runs/demo
	cp runs/demo/search/*/schedule.json deploy/demo/schedule.json

# In the files' own order: those with few tests are the slow ones, and none should be left to the end.
test: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples

docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: bench-crf bench-store

bench-crf: env
	$(BIN)/python -m tests.benchmarks.crf_cost --output docs/crf_cost.json

bench-store: env
	$(BIN)/python -m tests.benchmarks.store_speed --output docs/store_speed

bench-stages: env
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.stages --output docs/stage_speed

bench-inside: env
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.inside.ends --form scalars --noises 10 --steps 480
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.inside.ends --form crf --noises 10 --steps 600

FRONT ?= $(wildcard deploy/demo/schedule.json)
ablation: env
	$(BIN)/python -m tests.benchmarks.ablation $(if $(FRONT),--front $(FRONT)) --root runs/ablation --output docs/ablation

ablation-controls: env
	$(BIN)/python -m tests.benchmarks.ablation --controls-only $(if $(FRONT),--front $(FRONT)) \
	    --root runs/ablation --output runs/ablation/controls

notebook: env
	$(BIN)/jupyter-execute --inplace docs/browse.ipynb

RUNS ?= 100
SEED ?= 0
chaos: env
	$(BIN)/python -m tests.chaos --runs $(RUNS) --seed $(SEED)
	$(BIN)/python -m tests.chaos.endpoints

cluster-test: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -m "slow or not slow" tests/cluster

image-check:
	deploy/image_check.sh

ui: env
	$(BIN)/latentcrf ui

clean:
	rm -rf .venv runs site
