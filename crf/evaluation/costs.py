"""What each method costs per image: U-Net passes, FLOPs, seconds and peak memory."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from crf.device import Precision, set_up, synchronize
from crf.evaluation.methods import Method
from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation
from crf.sampling.deepcache import cache_features
from crf.sampling.paths import count_passes
from crf.sampling.sampler import run_schedules
from crf.sampling.trajectory import infer, tell_timesteps
from crf.schedule import Schedule
from crf.stages.captions import silence_truncation
from crf.teacher.teacher import Teacher

ROUNDS = 3
QUANTILES = (0.1, 0.9)


@dataclass(frozen=True)
class Cost:
    """The cost of one image by one method, from noise to pixels.

    ``seconds``: median, and the 10th and 90th percentile of the rounds.
    ``peak_bytes``: most GPU memory that tensors held; None without a GPU.
    """

    passes: float
    flops: int
    seconds: dict[str, float]
    peak_bytes: int | None


def measure_costs(
    teacher_path: str,
    crf_path: str | None,
    device: str,
    caption: str,
    guidance_scale: float,
    size: int,
    methods: tuple[Method, ...],
    dtype: Precision = "float32",
) -> tuple[dict[str, Cost], dict[str, Any]]:
    """Measure what each method costs for one image, alone on the device; on a CPU, on one thread.

    The methods take turns, so that other load on the machine affects all of them alike.

    Returns:
        Each method's cost by its key, and the environment: device, threads and dtype.
    """
    set_up(threads=1)
    teacher = Teacher.load(teacher_path, device, getattr(torch, dtype)).speed_up()
    silence_truncation(teacher)
    crf = LatentCRF.from_pretrained(crf_path).eval().to(device) if crf_path else None
    rounds: dict[str, list[float]] = {method.key: [] for method in methods}
    peaks = dict.fromkeys(rounds, 0)
    flops = count_part_flops(teacher, crf, caption, size)  # also warms up every part
    noise_BCHW = torch.randn((1, *teacher.latent_shape(size)), generator=torch.Generator().manual_seed(0))
    for _ in range(ROUNDS):
        for method in methods:
            reset_peak(device)
            seconds = time_image(teacher, crf, caption, noise_BCHW, guidance_scale, method.schedule)
            rounds[method.key].append(seconds)
            peaks[method.key] = max(peaks[method.key], read_peak(device) or 0)
    cached = any(method.schedule.deepcache > 1 for method in methods)
    shallow = count_shallow_flops(teacher, caption, size) / flops["pass"] if cached else 0.0
    costs = {}
    for method in methods:
        passes = count_passes(teacher.noise_schedule, method.schedule, guidance_scale > 1, shallow)
        with_crf = method.schedule.crfs * flops["crf"]
        costs[method.key] = Cost(
            passes=passes,
            flops=round(passes * flops["pass"] + flops["decode"] + with_crf),
            seconds=summarize_rounds(rounds[method.key]),
            peak_bytes=peaks[method.key] or None,
        )
    return costs, {"device": name_device(device), "threads": torch.get_num_threads(), "dtype": dtype}


@torch.no_grad()
def time_image(
    teacher: Teacher,
    crf: LatentCRF | None,
    caption: str,
    noise_BCHW: torch.Tensor,
    guidance_scale: float,
    schedule: Schedule,
) -> float:
    """Measure the seconds from noise and caption to one image's pixels."""
    synchronize()
    start = time.perf_counter()
    given = teacher.condition([caption], guidance_scale)
    [z_BCHW] = run_schedules(teacher, [schedule], noise_BCHW, given, crf)
    teacher.decode(z_BCHW)
    synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def count_part_flops(teacher: Teacher, crf: LatentCRF | None, caption: str, size: int) -> dict[str, int]:
    """Count the FLOPs of each part for one image: a U-Net pass, the CRF and the decoder."""
    given = teacher.condition([caption], guidance_scale=1)
    z_BCHW = torch.zeros((1, *teacher.latent_shape(size)), device=teacher.device)
    seen = Observation(z_BCHW, z_BCHW, z_BCHW, z_BCHW, tell_timesteps(z_BCHW, 500, 400))
    parts: dict[str, Callable[[], object]] = {
        "pass": lambda: teacher.guided_output(z_BCHW, 500, given),
        "decode": lambda: teacher.decode(z_BCHW),
        "crf": lambda: crf and infer(crf, seen, given),
    }
    return {name: count_flops(run) for name, run in parts.items()}


@torch.no_grad()
def count_shallow_flops(teacher: Teacher, caption: str, size: int) -> int:
    """Count the FLOPs of a U-Net pass that reuses deep features (DeepCache)."""
    cached = cache_features(teacher, 2)
    given = cached.condition([caption], guidance_scale=1)
    z_BCHW = torch.zeros((1, *teacher.latent_shape(size)), device=teacher.device)
    cached.guided_output(z_BCHW, 500, given)
    return count_flops(lambda: cached.guided_output(z_BCHW, 400, given))


def count_flops(run: Callable[[], object]) -> int:
    """Count the FLOPs of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def summarize_rounds(seconds: list[float]) -> dict[str, float]:
    """Return the median of the rounds, and the quantiles between which most of them lie."""
    low, high = np.quantile(seconds, QUANTILES)
    return {"median": float(np.median(seconds)), "low": float(low), "high": float(high)}


def reset_peak(device: str) -> None:
    """Forget the peak of GPU memory so far."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def read_peak(device: str) -> int | None:
    """Return the most bytes of GPU memory that tensors held since ``reset_peak``; None without a GPU."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else None


def name_device(device: str) -> str:
    """Name the device that the costs were measured on."""
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})"
