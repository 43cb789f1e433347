"""Which parts of the CRF earn their place, against every control of about the same cost.

On the demo's teacher: pairs on training captions, natural latents, and the held-out captions'
trajectories are made once; each form is trained on them with every seed, and the latents that each
schedule ends with are compared with the teacher's own 50 steps and with a converged reference from
the same noise, on captions that nothing was trained or searched on. Writes OUTPUT.json, OUTPUT.md
and OUTPUT.png. Killed? Run the same command again.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crf.evaluation.methods import CONVERGED, REFERENCE, Method, list_every_method, make_converged
from crf.front import Front
from crf.search.dynamic_programming import Paths
from crf.teacher.folder import fingerprint_teacher
from flows.encode import ENCODE
from flows.parameters.latents import EncodeParameters
from flows.stage import run_stage
from storage import LatentStore
from tests.benchmarks.ablation.controls import Cost, find_baseline, find_paths, list_controls
from tests.benchmarks.ablation.curves import draw_curves, is_drawn
from tests.benchmarks.ablation.forms import FORMS, GROUPS, LEADS, list_endings, list_forms
from tests.benchmarks.ablation.heldout import Errors, make_heldout, measure_control
from tests.benchmarks.ablation.jobs import run_jobs
from tests.benchmarks.ablation.records import Network, Record, write_records
from tests.benchmarks.ablation.samples import DEMO, load_teacher
from tests.benchmarks.ablation.study import Latents, Study, make_study
from tests.benchmarks.ablation.table import format_tables
from tests.benchmarks.ablation.trial import count_cost, find_shape, load_study, run_trial


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controls-only", action="store_true", help="train nothing; takes minutes")
    parser.add_argument(
        "--front", type=Path, help="schedule.json of a search; its schedules without a CRF are rows too"
    )
    parser.add_argument("--forms", nargs="+", default=[], choices=[form.name for form in FORMS], help="default: all")
    parser.add_argument("--pairs", type=int, default=256, help="captions to train on")
    parser.add_argument("--calibrate", type=int, default=64, help="training captions for dynamic programming")
    parser.add_argument("--heldout", type=int, default=64, help="captions to measure on, at least 2")
    parser.add_argument("--natural", type=int, default=1024, help="images of stage 1")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3, help="trainings per form")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--guidance-scale", type=float, default=4.0)
    parser.add_argument("--teacher", type=Path, default=DEMO / "teacher")
    parser.add_argument("--root", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--output", type=Path, default=Path("docs/ablation"))
    args = parser.parse_args(arguments)
    if args.heldout < 2:
        parser.error(f"expected --heldout of at least 2, for intervals, found {args.heldout}; raise it")
    return args


def encode_natural_latents(args: argparse.Namespace) -> Latents:
    """Encode images, and keep the latents and captions' text embeddings of the valid ones."""
    images, root = str(DEMO / "images/train.parquet"), str(args.root)
    params = EncodeParameters(images=images, teacher=str(args.teacher), root=root, limit=args.natural)
    store = LatentStore.open(run_stage(ENCODE, params, root).url)
    valid = store.valid
    return {name: torch.from_numpy(np.asarray(store[name][:])[valid]) for name in ("latents", "text")}


def keep(file: Path, make: Callable[[], Any]) -> Path:
    """Make what the file holds, unless an earlier run has; return the file."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        torch.save(make(), part)
        part.rename(file)
    return file


def make_control_records(args: argparse.Namespace, heldout_file: Path, made: str) -> list[Record]:
    """Measure the floor and every group's controls; the floor's record is the first."""
    teacher = load_teacher(args.teacher)
    file = args.root / f"paths-{args.calibrate}-{made}.pt"
    paths: dict[str, Paths] = torch.load(
        keep(file, lambda: find_paths(args.teacher, args.guidance_scale, args.calibrate))
    )
    front = Front.read(args.front) if args.front else None
    cost = Cost.measure(teacher, args.guidance_scale)
    floor = Method(CONVERGED, "converged", make_converged(teacher.noise_schedule), "floor")
    methods = [(GROUPS[0], floor)]
    methods += [(group, method) for group in GROUPS for method in list_controls(cost, group, paths, front)]
    texts = [str(method.schedule) for _, method in methods]
    jobs = {text: (heldout_file, text) for text in texts}
    results = run_jobs(measure_control, jobs, args.root / f"controls-{args.heldout}-{made}.jsonl", args.workers)
    return [make_record(group, cost, method, [results[str(method.schedule)]]) for group, method in methods]


def make_record(
    group: int, cost: Cost, method: Method, errors: list[Errors], name: str = "", network: Network | None = None
) -> Record:
    """Make the row of a method from its errors, of each training seed."""
    to_full, to_converged = ([one[reference] for one in errors] for reference in (REFERENCE, CONVERGED))
    passes = cost.count_passes(method.schedule)
    return Record(
        group, name or method.label, str(method.schedule), method.kind, passes, to_full, to_converged, network
    )


def make_form_records(args: argparse.Namespace, heldout_file: Path, made: str) -> list[Record]:
    """Train every form after every lead and with every seed; make a row per ending."""
    made = f"{args.pairs}-{args.natural}-{made}"

    def make() -> Study:
        return make_study(encode_natural_latents(args), args.teacher, args.guidance_scale, args.pairs)

    study_file = keep(args.root / f"study-{made}.pt", make)
    forms = [(lead, form) for lead in LEADS for form in list_forms(lead, args.forms)]
    jobs = {
        f"{lead}: {form.name}, seed {seed}": (study_file, heldout_file, lead, form.name, args.steps, seed)
        for seed in range(args.seeds)
        for lead, form in forms
    }
    log_file = args.root / f"forms-{args.heldout}-{args.steps}-{made}.jsonl"
    results = run_jobs(run_trial, jobs, log_file, args.workers)
    teacher = load_teacher(args.teacher)
    cost, pairs = Cost.measure(teacher, args.guidance_scale), load_study(study_file).pairs
    records = []
    for lead, form in forms:
        methods = {method.key: method for method in list_every_method(lead, teacher.noise_schedule)}
        size = count_cost(form, find_shape(pairs[lead]))
        own = [results[f"{lead}: {form.name}, seed {seed}"] for seed in range(args.seeds)]
        for ending in list_endings(form.name):
            network = Network(lead, ending, pairs=form.pairs or args.pairs, family=form.family, **size)
            errors = [one[ending] for one in own]
            records.append(make_record(LEADS[lead], cost, methods[ending], errors, form.name, network))
    return records


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study."""
    args = parse_arguments(arguments)
    teacher = hashlib.sha256(repr(fingerprint_teacher(args.teacher)).encode()).hexdigest()[:8]
    made = f"{args.guidance_scale}-{teacher}"
    heldout_file = keep(
        args.root / f"heldout-{args.heldout}-{made}.pt",
        lambda: make_heldout(args.teacher, args.guidance_scale, args.heldout),
    )
    floor, *records = make_control_records(args, heldout_file, made)
    if not args.controls_only:
        records += make_form_records(args, heldout_file, made)
    baselines = {group: find_baseline(load_teacher(args.teacher), group) for group in GROUPS}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    options = {
        name: value if isinstance(value, int | float | list) else str(value) for name, value in vars(args).items()
    }
    write_records(args.output.with_suffix(".json"), [floor, *records], baselines, options)
    groups = {group: [record for record in records if record.group == group] for group in GROUPS}
    args.output.with_suffix(".md").write_text(format_tables(floor, groups, baselines))
    if drawn := [record for record in records if is_drawn(record)]:
        draw_curves(drawn, args.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
