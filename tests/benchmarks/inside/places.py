"""A CRF inside the trajectory: distill one on roll-outs of a schedule, and run it at some or all of its places.

    python -m tests.benchmarks.inside --solver dpm++ --trajectories 96 --steps 600

Takes the demo's teacher and captions, on one core. Prints a JSON line per schedule: latent MSE to the teacher's 50
steps on the held-out captions, and the paired ratio to the schedule without a CRF.
"""

import argparse
import json
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor

from crf.metrics.per_sample import compute_squared_errors
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_rollout_stops
from crf.sampling.rollouts import Meeting, roll_out
from crf.sampling.sampler import run_schedules
from crf.sampling.trajectory import follow
from crf.schedule import TEACHER_STEPS, Schedule
from crf.statistics.comparisons import compare_errors
from crf.statistics.intervals import summarize_errors
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.samples import DEMO, Samples, load_teacher

TIMESTEPS = (981, 901, 821, 721, 641, 521, 421, 321, 201, 101)
EVERYWHERE = tuple(range(1, len(TIMESTEPS) + 1))
GUIDANCE, BATCH = 4.0, 16
PLACES = {"none": (), "last": (10,), "last but one": (9,), "last but two": (8,), "everywhere": EVERYWHERE}


@torch.no_grad()
def roll_out_all(teacher: Teacher, schedule: Schedule, count: int) -> tuple[list[list[Meeting]], list[Tensor]]:
    """Roll out the training captions with a CRF that changes nothing; return each batch's meetings and pooled text."""
    path, stops = teacher.noise_schedule.path(TEACHER_STEPS), find_rollout_stops(teacher.noise_schedule, schedule)
    met, texts = [], []
    for noise_BCHW, given in Samples.draw("images/captions.txt", count, 0).start(teacher, GUIDANCE):
        state, own, done = noise_BCHW, {}, 0
        for timestep, stop in sorted(stops.items(), key=lambda item: item[1]):
            state, done = follow(teacher, state, path[done:stop], given).state, stop
            own[timestep] = state
        met.append(roll_out(teacher, schedule, noise_BCHW, given, own))
        texts.append(given.pooled_BD)
    return met, texts


def train(met: list[list[Meeting]], texts: list[Tensor], steps: int) -> LatentCRF:
    """Distill the demo's form of the CRF, told its timesteps, on each place's next state."""
    torch.manual_seed(0)
    joined = [list(place) for place in zip(*met, strict=True)]  # place -> batches
    names = ("state_BCHW", "x0_BCHW", "previous_BCHW", "guidance_BCHW", "timesteps_B2")
    seen = {name: torch.cat([getattr(each.seen, name) for place in joined for each in place]) for name in names}
    target = torch.cat([each.target for place in joined for each in place])
    weight = torch.cat([torch.full((len(each.target),), each.gain**2) for place in joined for each in place])
    text = torch.cat(texts * len(joined))
    _, channels, height, width = target.shape
    config = LatentCRFConfig(
        height=height,
        width=width,
        channels=channels,
        text_width=text.shape[1],
        hidden=32,
        filters=88,
        kernel_size=3,
        iterations=2,
        similarity="stationary",
        crf_input="x0+state+previous+guidance",
        potentials="observed",
        expert_weights="signed",
        with_timesteps=True,
    )
    trainer = Trainer(LatentCRF(config), TrainerConfig(steps, 1e-3, 30, ema_decay=0.99))
    generator = torch.Generator().manual_seed(0)
    scale = weight.mean()
    for _ in range(steps):
        rows = torch.randint(len(target), (BATCH,), generator=generator)
        state, x0, previous, guidance, told = (seen[name][rows] for name in names)
        more = (previous, guidance, told, weight[rows] / scale)
        trainer.step(Pairs(state, target[rows], text[rows], x0, rows, *more))
    return trainer.result.eval()


@torch.no_grad()
def measure(teacher: Teacher, crf: LatentCRF, base: Schedule, captions: int) -> None:
    """Print the errors of the schedule with the CRF at each of ``PLACES``."""
    schedules = [replace(base, corrections=places) for places in PLACES.values()]
    errors = []
    for noise_BCHW, given in Samples.draw("images/heldout.parquet", captions, 1).start(teacher, GUIDANCE):
        full, *ends = run_schedules(teacher, [Schedule.parse("50/50"), *schedules], noise_BCHW, given, crf)
        errors.append(np.stack([compute_squared_errors(end, full) for end in ends], 1))
    table, labels = np.concatenate(errors), np.arange(captions)
    for number, (name, schedule) in enumerate(zip(PLACES, schedules, strict=True)):
        summary = summarize_errors(table[:, number], labels)
        ratio = compare_errors(table[:, number], table[:, 0], labels)
        record = {"crf": name, "schedule": str(schedule), **asdict(summary), "ratio": asdict(ratio)}
        print(json.dumps(record), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--solver", choices=["ddim", "dpm++"], default="dpm++")
    parser.add_argument("--trajectories", type=int, default=96)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--captions", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = load_teacher(DEMO / "teacher")
    base = Schedule(len(TIMESTEPS), lead_timesteps=TIMESTEPS, solver=options.solver)
    met, texts = roll_out_all(teacher, replace(base, corrections=EVERYWHERE), options.trajectories)
    crf = train(met, texts, options.steps)
    measure(teacher, crf, base, options.captions)


if __name__ == "__main__":
    main()
