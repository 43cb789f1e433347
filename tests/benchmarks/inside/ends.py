"""Train a CRF, scalars or a convnet inside a schedule, on where the schedule ends.

    python -m tests.benchmarks.inside.ends --form crf --schedule "10@981.. (dpm++) (power 1.15)" --noises 3 --steps 480

Takes the demo's teacher, its 192 training captions with so many noises each, and one core. Prints a JSON line per
form: latent MSE to the teacher's 50 steps, and the paired ratio to the schedule without any, on the captions for
calibration as training goes on, and once, at the end, on the test captions.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from crf.training.through import Ends, Through
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.samples import DEMO, load_teacher
from tests.benchmarks.inside.forms import InsideConvNet, Scalars, make_crf
from tests.benchmarks.inside.trajectories import GUIDANCE, Trajectories, measure_schedule, tell, write_out

FORMS = {"crf": lambda _: make_crf(), "scalars": Scalars, "convnet": InsideConvNet}
LEARNING_RATES = {"crf": 1.5e-3, "scalars": 5e-3, "convnet": 1.5e-3}
SHOWN_EVERY = 120


def draw_batch(teacher: Teacher, data: Trajectories, through: Through, size: int, generator: torch.Generator) -> Ends:
    """Draw a training batch."""
    rows = torch.randint(len(data.seeds), (size,), generator=generator).tolist()
    noise_BCHW, given = data.start(teacher, rows)
    captions = tuple(data.captions[row] for row in rows)
    ends, numbers = data.ends[rows], torch.tensor(rows)
    return Ends(
        z_BCHW=noise_BCHW,
        target_BCHW=ends,
        text_BD=given.pooled_BD,
        x0_BCHW=None,
        rows_B=numbers,
        captions=captions,
        through=through,
    )


@torch.no_grad()
def settle_statistics(network: nn.Module, batch: Ends) -> None:
    """Set batch-norm's statistics to those of the plain schedule; training then leaves them alone."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all calls
    batch.infer(network.train())
    network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--form", choices=FORMS, default="crf")
    parser.add_argument("--schedule", default="10@981.. (dpm++) (power 1.15)")
    parser.add_argument("--noises", type=int, default=3)
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/inside"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = load_teacher(DEMO / "teacher")
    data = Trajectories.draw(teacher, "train", 192, options.noises, options.folder)
    held = {name: Trajectories.draw(teacher, name, count, 1, options.folder) for name, count in HELD.items()}
    base = Schedule.parse(options.schedule)
    everywhere = tuple(range(1, base.lead + 1))
    schedule = replace(write_out(teacher, base), corrections=everywhere)
    plain = {name: measure_schedule(teacher, each, base) for name, each in held.items()}
    for name, errors in plain.items():
        tell({"captions": name, "form": "none", "schedule": str(base)}, errors, errors)

    torch.manual_seed(options.seed)
    network: Any = FORMS[options.form](list(schedule.lead_timesteps))
    through, generator = Through(teacher, schedule, GUIDANCE), torch.Generator().manual_seed(options.seed)
    settle_statistics(network, draw_batch(teacher, data, through, 64, generator))
    rate = LEARNING_RATES[options.form]
    config = TrainerConfig(options.steps, rate, 10, ema_decay=0.98, max_grad_norm=0.5, frozen_statistics=True)
    trainer = Trainer(network, config)
    for step in range(1, options.steps + 1):
        trainer.step(draw_batch(teacher, data, through, options.batch, generator))
        if step % SHOWN_EVERY == 0 or step == options.steps:
            record = {"form": options.form, "step": step, "noises": options.noises}
            found = measure_schedule(teacher, held["calibrate"], schedule, trainer.result)
            tell({"captions": "calibrate", **record}, found, plain["calibrate"])
    tell(
        {"captions": "test", **record}, measure_schedule(teacher, held["test"], schedule, trainer.result), plain["test"]
    )
    if options.form == "crf":  # for `latentcrf evaluate --crf`
        trainer.result.record_place(None, None, str(schedule))
        trainer.result.save_pretrained(options.folder / f"crf-{base.lead}-{options.noises}x{options.steps}")


HELD = {"calibrate": 48, "test": 64}

if __name__ == "__main__":
    main()
