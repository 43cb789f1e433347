"""Deterministic DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12 with eta = 0).

The arithmetic runs in the order of diffusers' DDIMScheduler, so that results equal its own to the last bit.
z: noisy latents; x0, eps: estimates of the clean latents and of the noise; all BCHW.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from diffusers import DDIMScheduler
from torch import Tensor

from crf.errors import ScheduleError
from crf.teacher.folder import check_scheduler
from crf.teacher.multistep import make_multistep, place_multistep


class DiffusionSchedule:
    """A teacher's noise schedule: cumulative alphas, and the timesteps that a number of steps visits."""

    final: float = -1

    def __init__(self, scheduler_config: Any, **changes: Any) -> None:
        """Read the scheduler's config; ``changes`` override entries that do not affect the noise, such as spacing."""
        check_scheduler(dict(scheduler_config))
        self._config = scheduler_config  # without diffusers' defaults, which clip
        self._scheduler = DDIMScheduler.from_config(scheduler_config, **changes)
        self.alphas: Tensor = self._scheduler.alphas_cumprod
        self.prediction_type: str = self._scheduler.config.prediction_type

    def with_spacing(self, spacing: str) -> Self:
        """Return a schedule with the same noise and other timesteps; "" keeps the teacher's own spacing."""
        return type(self)(self._config, timestep_spacing=spacing) if spacing else self

    def timesteps(self, steps: int) -> list[int]:
        """List the descending timesteps of ``steps`` steps: 50 -> [981, 961, ..., 1] with "leading" spacing."""
        self._scheduler.set_timesteps(steps)
        return [int(t) for t in self._scheduler.timesteps]

    def path(self, steps: int) -> list[tuple[int, int]]:
        """List the steps as pairs (timestep of the evaluation, timestep stepped to); the last ends below 0."""
        stride = self._scheduler.config.num_train_timesteps // steps
        return [(t, t - stride) for t in self.timesteps(steps)]

    def multistep(self, solver: str) -> Any:
        """Make diffusers' scheduler of a multistep solver over this noise schedule, with its own timesteps."""
        return make_multistep(solver, self._scheduler.config)

    def multistep_at(self, solver: str, stops: Sequence[float]) -> Any:
        """Make diffusers' scheduler of a multistep solver for timesteps that end at the last of ``stops``."""
        sigmas = [self.noise_level(timestep) for timestep in stops]
        return place_multistep(solver, self._scheduler.config, stops, sigmas, whole=stops[-1] < 0)

    def noise_level(self, timestep: float) -> float:
        """Return diffusers' sigma: the ratio of noise to signal in z."""
        alpha = float(self.alpha(timestep))
        return float(((1 - alpha) / alpha) ** 0.5)

    def find_timestep(self, noise_level: float) -> float:
        """Return the timestep of the nearest noise level; ``final`` for one below that of timestep 0."""
        known = np.log([self.noise_level(timestep) for timestep in range(len(self.alphas))])
        if noise_level < self.noise_level(0):
            return self.final
        return float(np.abs(known - np.log(noise_level)).argmin())

    def check_timestep(self, timestep: float) -> float:
        """Return the timestep as this network takes it. Raises ScheduleError if it takes none such."""
        if timestep != int(timestep) or timestep >= len(self.alphas):
            raise ScheduleError(
                f"whole timesteps below {len(self.alphas)}, as this teacher was trained on", str(timestep), "change it"
            )
        return int(timestep)

    def round_timestep(self, timestep: float) -> float:
        """Return the nearest timestep that the network takes; ``final`` for one below 0."""
        return max(int(self.final), round(timestep))

    def alpha(self, timestep: float) -> Tensor:
        """Look up the cumulative alpha at an integer timestep, a scalar tensor; below 0, the schedule's final alpha."""
        return self.alphas[int(timestep)] if timestep >= 0 else self._scheduler.final_alpha_cumprod

    def signal(self, timestep: float) -> Tensor:
        """Return the factor of x0 in z, a scalar tensor."""
        return self.alpha(timestep) ** 0.5

    def noise_factor(self, timestep: float) -> float:
        """Return the factor of eps in z."""
        return float((1 - self.alpha(timestep)) ** 0.5)

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """Mix x0 and eps into the state at ``timestep``."""
        alpha = self.alpha(timestep)
        return alpha**0.5 * x0 + (1 - alpha) ** 0.5 * eps

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """Convert the network's output at z to (x0, eps)."""
        alpha = self.alpha(timestep)
        beta = 1 - alpha
        if self.prediction_type == "epsilon":
            return (z - beta**0.5 * output) / alpha**0.5, output
        return (alpha**0.5) * z - (beta**0.5) * output, (alpha**0.5) * output + (beta**0.5) * z

    def move_x0(self, output: Tensor, change: Tensor, timestep: float) -> Tensor:
        """Change the network's output at z so that its x0 prediction moves by ``change``, and its eps accordingly."""
        alpha = self.alpha(timestep)
        beta = 1 - alpha
        return output - change * ((alpha if self.prediction_type == "epsilon" else 1) / beta) ** 0.5

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """Compute the eps for which ``add_noise`` gives z from x0."""
        alpha = self.alpha(timestep)
        return (z - alpha**0.5 * x0) / (1 - alpha) ** 0.5

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """Take one DDIM step (eq. 12) from the network's output at z to the state at ``to_timestep``."""
        return self.add_noise(*self.split(output, z, timestep), to_timestep)
