"""One form, one seed: train it, then end the held-out trajectories with it in every way."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from crf.evaluation.methods import list_every_method
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import run_tail
from crf.teacher.folder import TeacherShape
from crf.teacher.noise_schedule import read_noise_schedule
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs, make_noisy_pairs
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.forms import FORMS, Form, Shape, list_endings
from tests.benchmarks.ablation.study import DEMO, Latents, Study, mse

BATCH = 16
NOISE = (1, 250)  # timesteps, of stage 1


@lru_cache(maxsize=1)
def load_study(file: Path) -> Study:
    study: Study = torch.load(file, weights_only=False)  # its own file, just written
    return study


@lru_cache(maxsize=1)
def load_teacher() -> Teacher:
    return Teacher.load(DEMO / "teacher")


def trial(file: Path, lead_text: str, name: str, steps: int, seed: int) -> dict[str, Any]:
    """In a process of its own, on one core."""
    torch.set_num_threads(1)
    [form] = [form for form in FORMS if form.name == name]
    errors = run_trial(load_study(file), form, lead_text, steps, seed)
    return {"lead": lead_text, "name": name, "steps": steps, "seed": seed, "errors": errors}


def run_trial(study: Study, form: Form, lead_text: str, steps: int, seed: int) -> dict[str, float]:
    """Latent MSE to the teacher's 50 steps, by the key of the method."""
    network = train(form, study, lead_text, steps, seed)
    teacher, errors = load_teacher(), {}
    schedules = {method.key: method.schedule for method in list_every_method(lead_text, teacher.noise_schedule)}
    for key in list_endings(form.name):
        noise = torch.Generator().manual_seed(seed)
        ends = [run_tail(teacher, schedules[key], *part, network, generator=noise) for part in study.heldout[lead_text]]
        errors[key] = mse(torch.cat(ends), study.full_BCHW)
    return errors


def train(form: Form, study: Study, lead_text: str, steps: int, seed: int) -> Any:
    torch.manual_seed(seed)
    pairs = study.pairs[lead_text]
    target_BCHW = pairs["aimed" if form.aimed else "target"]
    network: Any = form.build(shape_of(pairs))
    if form.stage_1_steps:
        state = Trainer(network, TrainerConfig(form.stage_1_steps, 1e-3, 50, form.adversarial_weight))
        noise_schedule = read_noise_schedule(TeacherShape.read(DEMO / "teacher").scheduler_config)
        denoise = make_noisy_pairs(natural_batches(study.natural, seed), noise_schedule, NOISE, seed)
        for _ in range(form.stage_1_steps):
            state.step(next(denoise))
        network = state.result
    state = Trainer(network, TrainerConfig(steps, 1e-3, 50, ema_decay=0.99))
    for rows_B in random_rows(form.pairs or len(pairs["state"]), seed, steps):
        x0_BCHW, text_BD = pairs["x0"][rows_B], pairs["text"][rows_B]
        state.step(Pairs(pairs["state"][rows_B], target_BCHW[rows_B], text_BD, x0_BCHW, rows_B))
    return state.result.eval()


def shape_of(pairs: Latents) -> Shape:
    _, channels, height, width = pairs["state"].shape
    return {"height": height, "width": width, "channels": channels, "text_width": pairs["text"].shape[1]}


def random_rows(rows: int, seed: int, steps: int | None = None) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in count() if steps is None else range(steps):
        yield torch.randint(rows, (BATCH,), generator=generator)


def natural_batches(natural: Latents, seed: int) -> Iterator[dict[str, Any]]:
    for rows_B in random_rows(len(natural["latents"]), seed):
        yield {**{name: np.asarray(values[rows_B]) for name, values in natural.items()}, "row": rows_B.numpy()}


@torch.no_grad()
def cost_of(form: Form, shape: Shape) -> dict[str, float]:
    """Parameters, and MFLOP an image."""
    network = form.build(shape).eval()
    z = torch.zeros(1, shape["channels"], shape["height"], shape["width"])
    with FlopCounterMode(display=False) as counter:
        network(z, torch.zeros(1, shape["text_width"]), z)
    flops = counter.get_total_flops() + (fft_flops(network.settings) if isinstance(network, LatentCRF) else 0)
    return {"parameters": parameters_of(network), "mflop": flops / 1e6}


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def fft_flops(config: LatentCRFConfig) -> float:
    """Of the stationary similarities, which torch does not count: 2.5 P log2 P a real transform of P places."""
    if config.similarity == "dense" or not config.with_pairwise:
        return 0.0
    places = 4 * config.height * config.width
    transforms = config.heads + config.iterations * config.potential_channels * (1 + config.heads)
    return transforms * 2.5 * places * math.log2(places)
