"""One form, one seed: train it, then end the held-out trajectories with it in every way."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from crf.evaluation.methods import list_every_method
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import run_tail
from crf.teacher.noise_schedule import NoiseSchedule
from crf.training.pairs import Pairs, make_noisy_pairs
from crf.training.trainer import Trainer, TrainerConfig
from tests.benchmarks.ablation.forms import Form, Shape, find_form, list_endings
from tests.benchmarks.ablation.heldout import Errors, load_heldout
from tests.benchmarks.ablation.samples import load_teacher
from tests.benchmarks.ablation.study import Latents, Study

BATCH = 16
NOISE = (1, 250)  # timesteps, of stage 1
Ends = dict[str, Errors]  # key of the method -> its errors


@lru_cache(maxsize=1)
def load_study(file: Path) -> Study:
    """Load what the forms are trained on, once per process."""
    study: Study = torch.load(file, weights_only=False)  # its own file, just written
    return study


def run_trial(study_file: Path, heldout_file: Path, lead: str, name: str, steps: int, seed: int) -> Ends:
    """Train a form and end the held-out captions' leads with it, in a process of its own on one core."""
    torch.set_num_threads(1)
    form, (heldout, starts) = find_form(name), load_heldout(heldout_file)
    teacher = load_teacher(heldout.teacher)
    network = train(form, load_study(study_file), teacher.noise_schedule, lead, steps, seed)
    schedules = {method.key: method.schedule for method in list_every_method(lead, teacher.noise_schedule)}
    ends = {}
    for key in list_endings(form.name):
        noise = torch.Generator().manual_seed(seed)
        parts = zip(heldout.reached[lead], starts, strict=True)
        tails = [run_tail(teacher, schedules[key], at, given, network, generator=noise) for at, (_, given) in parts]
        ends[key] = heldout.measure(torch.cat(tails))
    return ends


def train(form: Form, study: Study, noise_schedule: NoiseSchedule, lead: str, steps: int, seed: int) -> Any:
    """Train a form on a lead's pairs, after stage 1 if it has one."""
    torch.manual_seed(seed)
    pairs = study.pairs[lead]
    target_BCHW = pairs["aimed" if form.aimed else "target"]
    network: Any = form.build(find_shape(pairs))
    if form.stage_1_steps:
        state = Trainer(network, TrainerConfig(form.stage_1_steps, 1e-3, 50, form.adversarial_weight))
        denoise = make_noisy_pairs(draw_natural(study.natural, seed), noise_schedule, NOISE, seed)
        for _ in range(form.stage_1_steps):
            state.step(next(denoise))
        network = state.result
    state = Trainer(network, TrainerConfig(steps, 1e-3, 50, ema_decay=0.99))
    for rows_B in draw_rows(form.pairs or len(pairs["state"]), seed, steps):
        x0_BCHW, text_BD = pairs["x0"][rows_B], pairs["text"][rows_B]
        state.step(Pairs(pairs["state"][rows_B], target_BCHW[rows_B], text_BD, x0_BCHW, rows_B))
    return state.result.eval()


def find_shape(pairs: Latents) -> Shape:
    """Return the sizes of a network for these pairs."""
    _, channels, height, width = pairs["state"].shape
    return {"height": height, "width": width, "channels": channels, "text_width": pairs["text"].shape[1]}


def draw_rows(rows: int, seed: int, steps: int | None = None) -> Iterator[torch.Tensor]:
    """Yield the rows of each batch, without end unless there is a number of steps."""
    generator = torch.Generator().manual_seed(seed)
    for _ in count() if steps is None else range(steps):
        yield torch.randint(rows, (BATCH,), generator=generator)


def draw_natural(natural: Latents, seed: int) -> Iterator[dict[str, Any]]:
    """Yield batches of natural latents without end."""
    for rows_B in draw_rows(len(natural["latents"]), seed):
        yield {**{name: np.asarray(values[rows_B]) for name, values in natural.items()}, "row": rows_B.numpy()}


@torch.no_grad()
def count_cost(form: Form, shape: Shape) -> dict[str, Any]:
    """Count a form's parameters, and its MFLOP per image."""
    network = form.build(shape).eval()
    z = torch.zeros(1, shape["channels"], shape["height"], shape["width"])
    with FlopCounterMode(display=False) as counter:
        network(z, torch.zeros(1, shape["text_width"]), z)
    flops = counter.get_total_flops() + (count_fft_flops(network.settings) if isinstance(network, LatentCRF) else 0)
    return {"parameters": sum(parameter.numel() for parameter in network.parameters()), "mflop": flops / 1e6}


def count_fft_flops(config: LatentCRFConfig) -> float:
    """Count the stationary similarities' transforms, which torch does not: 2.5 P log2 P per transform of P places."""
    if config.similarity == "dense" or not config.with_pairwise:
        return 0.0
    places = 4 * config.height * config.width
    transforms = config.heads + config.iterations * config.potential_channels * (1 + config.heads)
    return transforms * 2.5 * places * math.log2(places)
