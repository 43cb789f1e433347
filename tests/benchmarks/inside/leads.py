"""Distill the present CRF near the end of the search's leads: at the last evaluation, with one or two after it.

    python -m tests.benchmarks.inside.leads --solver dpm++

Takes the demo's teacher, its 192 training captions with so many noises each, and one core. Prints a JSON line per
number of evaluations, place and form: latent MSE to the teacher's 50 steps on the test captions, and the paired ratio
to the same schedule without a network.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crf.evaluation.convnet import ConvNet
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_lead_path
from crf.sampling.rollouts import Meeting, roll_out
from crf.schedule import TEACHER_STEPS, Schedule
from crf.search.costs import compute_first_order, compute_levels, multiply_trajectory
from crf.search.dynamic_programming import find_first_order_paths
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.samples import DEMO, load_teacher
from tests.benchmarks.inside.forms import CHANNELS, SIDE, TEXT_WIDTH
from tests.benchmarks.inside.trajectories import Trajectories, measure_schedule, tell, write_out

COUNTS = (6, 8, 10, 12, 17)
POWERS = {6: 1.15, 8: 1.15, 10: 1.15, 12: 1.1, 17: 1.1}  # the search's, for DPM-Solver++
AFTER = (0, 1, 2)
STEPS, BATCH, CONVNET_WIDTH = 600, 16, 48


def choose_schedules(teacher: Teacher, data: Trajectories, solver: str) -> list[Schedule]:
    """Choose the best known timesteps for each number of evaluations: the search's, or by dynamic programming."""
    if solver == "dpm++":
        texts = [f"{count}@981.. (dpm++) (power {POWERS[count]})" for count in COUNTS]
        return [write_out(teacher, Schedule.parse(text)) for text in texts]
    levels, path = teacher.noise_schedule, teacher.noise_schedule.path(TEACHER_STEPS)
    signal, noise = compute_levels(levels, [timestep for timestep, _ in path])
    states = data.states[:192].float()
    ratios = noise[1:] / noise[:-1]
    x0s = [  # a step of DDIM is linear in the state and x0
        (states[:, i + 1] - ratio * states[:, i]) / (signal[i + 1] - ratio * signal[i])
        for i, ratio in enumerate(ratios)
    ]
    products_NPP = multiply_trajectory(list(states.unbind(1)), x0s)
    paths = find_first_order_paths(compute_first_order(products_NPP, signal, noise))
    return [Schedule(count, lead_timesteps=tuple(path[stop][0] for stop in paths[count])) for count in COUNTS]


@torch.no_grad()
def find_own_state(teacher: Teacher, data: Trajectories, rows: list[int], timestep: float) -> Tensor:
    """Return the teacher's own states at a timestep, by part of a step if its 50 steps do not visit it."""
    path = teacher.noise_schedule.path(TEACHER_STEPS)
    stops = [path[0][0], *(to_timestep for _, to_timestep in path)]
    stop = max(number for number, visited in enumerate(stops) if visited >= timestep)
    state = data.states[rows, stop].float()
    if stops[stop] == timestep:
        return state
    _, given = data.start(teacher, rows)
    output = teacher.guided_output(state, stops[stop], given)
    return teacher.noise_schedule.advance(output, state, stops[stop], timestep)


def meet(teacher: Teacher, data: Trajectories, schedule: Schedule) -> tuple[list[list[Meeting]], Tensor]:
    """Run a schedule from every training noise; return what a CRF meets at its last places, and the pooled text."""
    met, texts = [], []
    path = find_lead_path(teacher.noise_schedule, schedule)
    for rows in data.split():
        noise_BCHW, given = data.start(teacher, rows)
        ends = [path[number - 1][1] for number in schedule.corrections]
        own = {end: find_own_state(teacher, data, rows, end) for end in ends}
        met.append(roll_out(teacher, schedule, noise_BCHW, given, own))
        texts.append(given.pooled_BD)
    return [list(place) for place in zip(*met, strict=True)], torch.cat(texts)


def train(network: Any, met: list[Meeting], text_BD: Tensor) -> Any:
    """Train a network for one place, as the demo's distillation does."""
    state, x0, target = (
        torch.cat(parts)
        for parts in zip(*((each.seen.state_BCHW, each.seen.x0_BCHW, each.target) for each in met), strict=True)
    )
    trainer = Trainer(network, TrainerConfig(STEPS, 1e-3, 30, ema_decay=0.99))
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        rows = torch.randint(len(target), (BATCH,), generator=generator)
        trainer.step(Pairs(state[rows], target[rows], text_BD[rows], x0[rows], rows))
    return trainer.result


def make_present_crf() -> LatentCRF:
    """Make the demo's form of the CRF, for one place."""
    shape: dict[str, Any] = {"height": SIDE, "width": SIDE, "channels": CHANNELS, "text_width": TEXT_WIDTH}
    form: dict[str, Any] = {"crf_input": "x0+state", "potentials": "observed", "expert_weights": "signed"}
    sizes: dict[str, Any] = {"hidden": 32, "filters": 88, "kernel_size": 3, "iterations": 2, "similarity": "stationary"}
    return LatentCRF(LatentCRFConfig(**shape, **form, **sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--solver", choices=["ddim", "dpm++"], default="dpm++")
    parser.add_argument("--noises", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/inside"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = load_teacher(DEMO / "teacher")
    data = Trajectories.draw(teacher, "train", 192, options.noises, options.folder)
    held = Trajectories.draw(teacher, "test", 64, 1, options.folder)
    for base in choose_schedules(teacher, data, options.solver):
        plain = measure_schedule(teacher, held, base)
        tell({"form": "none", "schedule": str(base)}, plain, plain)
        places = tuple(base.lead - after for after in reversed(AFTER))
        met, text_BD = meet(teacher, data, replace(base, corrections=places))
        for number, place in zip(places, met, strict=True):
            for name, make in {"crf": make_present_crf, "convnet": lambda: ConvNet(CHANNELS, CONVNET_WIDTH)}.items():
                torch.manual_seed(0)
                network = train(make(), place, text_BD)
                found: np.ndarray = measure_schedule(teacher, held, replace(base, corrections=(number,)), network)
                tell({"form": name, "evaluations": base.lead, "after": base.lead - number}, found, plain)


if __name__ == "__main__":
    main()
