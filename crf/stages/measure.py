"""What the ``measure`` stage computes: how far schedules end from the teacher's own 50 steps, from the same noise."""

from typing import Any

import numpy as np
import torch

from crf.device import Precision, set_up
from crf.evaluation.methods import FULL, make_converged
from crf.metrics.per_sample import compute_squared_errors
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.sampling.sampler import run_schedules
from crf.schedule import Schedule
from crf.stages.arrays import CONVERGED_MSE, LATENT_MSE
from crf.stages.captions import silence_truncation
from crf.stages.micro_batches import MICRO_BATCH, StageModel
from crf.teacher.teacher import Teacher


class MeasureSchedules(StageModel):
    """Sample a dict of captions and seeds with S schedules, and measure where they end.

    Reads ``caption`` str (B,) and ``seed`` uint64 (B,).

    Adds ``latent_mse`` float32 (B, S), the mean squared error to the latents of the teacher's 50 steps and, with
    ``converged``, ``converged_mse`` float32 (B, S + 1): the error to the converged reference, first that of the 50
    steps themselves. All other entries pass through.
    """

    def __init__(
        self,
        teacher_path: str,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        schedules: list[str],
        converged: bool,
        crf_path: str | None = None,
        dtype: Precision = "float32",
        micro_batch: int = MICRO_BATCH,
        compiled: bool = False,
    ) -> None:
        set_up(threads)
        self.teacher = Teacher.load(teacher_path, device, getattr(torch, dtype)).speed_up(compiled)
        self.micro_batch = micro_batch
        silence_truncation(self.teacher)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device) if crf_path else None
        self.guidance_scale, self.size = guidance_scale, size
        self.schedules = [Schedule.parse(text) for text in schedules]
        self.converged = make_converged(self.teacher.noise_schedule) if converged else None

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, **self._measure(batch["caption"], batch["seed"])}

    @torch.no_grad()
    def _measure(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        given = self.teacher.condition([str(caption) for caption in captions], self.guidance_scale)
        references = [FULL, *([self.converged] if self.converged else [])]
        ends = run_schedules(
            self.teacher, [*references, *self.schedules], noise_BCHW.to(self.teacher.device), given, self.crf
        )
        full = next(ends)
        converged = next(ends) if self.converged else None
        errors: dict[str, list[Any]] = {LATENT_MSE: []}
        if converged is not None:
            errors[CONVERGED_MSE] = [compute_squared_errors(full, converged)]
        for z_BCHW in ends:  # one at a time: hundreds of them would fill a GPU
            errors[LATENT_MSE].append(compute_squared_errors(z_BCHW, full))
            if converged is not None:
                errors[CONVERGED_MSE].append(compute_squared_errors(z_BCHW, converged))
        return {name: np.stack(columns, 1) for name, columns in errors.items()}
