"""Which parts of the CRF earn their place, against every control of equal or lower cost.

On the demo's teacher: pairs on training captions, natural latents, and the held-out captions'
trajectories are made once; each form is trained on them with every seed, and the latents that each
schedule ends with are compared with the teacher's own 50 steps from the same noise, on captions
that nothing was trained on. Writes OUTPUT.json and OUTPUT.md. Killed? Run the same command again.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.encode import ENCODE
from flows.parameters.latents import EncodeParameters
from flows.stage import run_stage
from storage import LatentStore
from tests.benchmarks.ablation.forms import LEADS, list_endings, list_forms
from tests.benchmarks.ablation.study import DEMO, Latents, Study, make_study, record
from tests.benchmarks.ablation.table import write_table
from tests.benchmarks.ablation.trial import cost_of, load_study, shape_of, trial


def encode_natural_latents(root: str, limit: int) -> Latents:
    """Of valid images, and their captions' text embeddings."""
    images = EncodeParameters(
        images=str(DEMO / "images/train.parquet"), teacher=str(DEMO / "teacher"), root=root, limit=limit
    )
    store = LatentStore.open(run_stage(ENCODE, images, root).url)
    valid = store.valid
    return {name: torch.from_numpy(np.asarray(store[name][:])[valid]) for name in ("latents", "text")}


def run_trials(file: Path, done_file: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The result of every trial, including those of an earlier run."""
    done = [json.loads(line) for line in done_file.read_text().splitlines()] if done_file.exists() else []
    known = {(one["lead"], one["name"], one["steps"], one["seed"]) for one in done}
    wanted = [
        (lead_text, form.name, args.steps, seed)
        for seed in range(args.seeds)
        for lead_text in LEADS
        for form in list_forms(lead_text)
    ]
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool, done_file.open("a") as log:
        for future in as_completed([pool.submit(trial, file, *one) for one in wanted if one not in known]):
            log.write(json.dumps(future.result()) + "\n")
            log.flush()
            done.append(future.result())
            print(f"{len(done)} of {len(wanted)} trials", flush=True)
    return [one for one in done if (one["lead"], one["name"], one["steps"], one["seed"]) in wanted]


def make_form_records(study: Study, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per form and ending, with the errors of all seeds."""
    records = []
    for lead_text, evaluations in LEADS.items():
        for form in list_forms(lead_text):
            pairs = study.pairs[lead_text]
            size = {**cost_of(form, shape_of(pairs)), "pairs": form.pairs or len(pairs["x0"]), "family": form.family}
            own = [one["errors"] for one in trials if (one["lead"], one["name"]) == (lead_text, form.name)]
            for key in list_endings(form.name):
                errors = [one[key] for one in own]
                cost = evaluations - (2 if key == "crf_0" else 0)
                records.append(record(lead_text, form.name, key, errors, cost, **size))
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--heldout", type=int, default=64)
    parser.add_argument("--natural", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--guidance-scale", type=float, default=4.0)
    parser.add_argument("--root", default="runs/ablation")
    parser.add_argument("--output", type=Path, default=Path("docs/ablation"))
    args = parser.parse_args()
    made = f"{args.pairs}-{args.heldout}-{args.natural}-{args.guidance_scale}"
    file = Path(args.root) / f"study-{made}.pt"
    if not file.exists():
        natural = encode_natural_latents(args.root, args.natural)
        part = file.with_suffix(".part")
        torch.save(make_study(natural, args.guidance_scale, args.pairs, args.heldout), part)
        part.rename(file)
    trials = run_trials(file, Path(args.root) / f"trials-{made}.jsonl", args)
    study = load_study(file)
    write_table(args.output, [*study.controls, *make_form_records(study, trials)], vars(args))


if __name__ == "__main__":
    main()
