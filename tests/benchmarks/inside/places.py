"""Distill a CRF for all places of a schedule at once, each on the teacher's own next state, over rounds of roll-outs.

    python -m tests.benchmarks.inside.places --noises 3 --rounds 3

The first roll-outs are with a CRF that changes nothing, the others with the CRF as it is; each round trains on those of
all rounds. Takes the demo's teacher, its 192 training captions with so many noises each, and one core. Prints a JSON
line per round and choice of places: latent MSE to the teacher's 50 steps on the test captions, and the paired ratio to
the schedule without a CRF.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_rollout_stops
from crf.sampling.rollouts import Meeting, roll_out
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.samples import DEMO, load_teacher
from tests.benchmarks.inside.forms import make_crf
from tests.benchmarks.inside.trajectories import Trajectories, measure_schedule, tell

TIMESTEPS = (981, 901, 821, 721, 641, 521, 421, 321, 201, 101)
EVERYWHERE = tuple(range(1, len(TIMESTEPS) + 1))
PLACES = {"last": (10,), "last but one": (9,), "last but two": (8,), "first five": (1, 2, 3, 4, 5), "all": EVERYWHERE}
BATCH = 16
SEEN = ("state_BCHW", "x0_BCHW", "previous_BCHW", "guidance_BCHW", "timesteps_B2")


def roll_out_all(
    teacher: Teacher, data: Trajectories, schedule: Schedule, crf: LatentCRF | None
) -> tuple[list[Meeting], list[Tensor]]:
    """Roll out from every noise; return what the CRF meets, batch by batch and place by place, and its pooled text."""
    stops, met, texts = find_rollout_stops(teacher.noise_schedule, schedule), [], []
    for rows in data.split():
        noise_BCHW, given = data.start(teacher, rows)
        own = {timestep: data.states[rows, stop] for timestep, stop in stops.items()}
        meetings = roll_out(teacher, schedule, noise_BCHW, given, own, crf)
        met += meetings
        texts += [given.pooled_BD] * len(meetings)
    return met, texts


def train(trainer: Trainer, met: list[Meeting], texts: list[Tensor], steps: int) -> None:
    """Train the CRF on what it met, a place drawn for each sample; the loss is the next state's squared error."""
    seen = {name: torch.cat([getattr(each.seen, name) for each in met]) for name in SEEN}
    target, text = torch.cat([each.target for each in met]), torch.cat(texts)
    weight = torch.cat([torch.full((len(each.target),), each.gain**2) for each in met])
    generator, scale = torch.Generator().manual_seed(0), weight.mean()
    for _ in range(steps):
        rows = torch.randint(len(target), (BATCH,), generator=generator)
        state, x0, previous, guidance, told = (seen[name][rows] for name in SEEN)
        trainer.step(Pairs(state, target[rows], text[rows], x0, rows, previous, guidance, told, weight[rows] / scale))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--solver", choices=["ddim", "dpm++"], default="dpm++")
    parser.add_argument("--noises", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--observes", default="x0+state+previous+guidance")
    parser.add_argument("--folder", type=Path, default=Path("runs/inside"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = load_teacher(DEMO / "teacher")
    data = Trajectories.draw(teacher, "train", 192, options.noises, options.folder)
    held = Trajectories.draw(teacher, "test", 64, 1, options.folder)
    base = Schedule(len(TIMESTEPS), lead_timesteps=TIMESTEPS, solver=options.solver)
    everywhere = replace(base, corrections=EVERYWHERE)
    plain = measure_schedule(teacher, held, base)
    record = {"solver": options.solver, "trajectories": len(data.seeds), "observes": options.observes}
    tell({**record, "crf": "none"}, plain, plain)
    torch.manual_seed(0)
    met: list[Meeting] = []
    texts: list[Tensor] = []
    crf = make_crf(options.observes)
    for number in range(1, options.rounds + 1):
        more, more_texts = roll_out_all(teacher, data, everywhere, crf.eval() if number > 1 else None)
        met, texts = met + more, texts + more_texts
        trainer = Trainer(crf, TrainerConfig(options.steps, 1e-3, 30, ema_decay=0.99))
        train(trainer, met, texts, options.steps)
        crf = trainer.result
        for name, places in PLACES.items():
            found = measure_schedule(teacher, held, replace(base, corrections=places), crf.eval())
            tell({**record, "round": number, "crf": name}, found, plain)


if __name__ == "__main__":
    main()
