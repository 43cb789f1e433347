"""Deterministic DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12 with eta = 0).

The arithmetic runs in the order of diffusers' DDIMScheduler, so that results equal its own to the last bit.
z: noisy latents; x0, eps: estimates of the clean latents and of the noise; all BCHW.
"""

from typing import Any, Self

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from crf.schedule import Spacing
from crf.teacher.folder import check_scheduler


class DiffusionSchedule:
    """The teacher's noise schedule: cumulative alphas, and which timesteps a step count visits."""

    final: float = -1

    def __init__(self, scheduler_config: Any, **changes: Any) -> None:
        """``changes`` to the config leave the noise levels alone."""
        check_scheduler(dict(scheduler_config))
        self._config = scheduler_config  # without diffusers' defaults, which clip
        self._scheduler = DDIMScheduler.from_config(scheduler_config, **changes)
        self.alphas: Tensor = self._scheduler.alphas_cumprod
        self.prediction_type: str = self._scheduler.config.prediction_type

    def with_spacing(self, spacing: Spacing) -> Self:
        """A schedule with the same noise and other timesteps; "" keeps the teacher's own spacing."""
        return type(self)(self._config, timestep_spacing=spacing) if spacing else self

    def timesteps(self, steps: int) -> list[int]:
        """The falling timesteps of a schedule: 50 -> [981, 961, ..., 1] with "leading" spacing."""
        self._scheduler.set_timesteps(steps)
        return [int(t) for t in self._scheduler.timesteps]

    def path(self, steps: int) -> list[tuple[int, int]]:
        """The steps of a schedule: (timestep of the evaluation, timestep stepped to); the last ends below 0."""
        stride = self._scheduler.config.num_train_timesteps // steps
        return [(t, t - stride) for t in self.timesteps(steps)]

    def multistep(self) -> Any:
        """A new DPM-Solver++ scheduler of second order (Lu et al. 2022)."""
        return DPMSolverMultistepScheduler.from_config(self._scheduler.config)

    def alpha(self, timestep: float) -> Tensor:
        """Cumulative alpha at a whole timestep, a scalar tensor; below 0 it is the schedule's final one."""
        return self.alphas[int(timestep)] if timestep >= 0 else self._scheduler.final_alpha_cumprod

    def signal(self, timestep: float) -> Tensor:
        """The factor of x0 in z, a scalar tensor."""
        return self.alpha(timestep) ** 0.5

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """The noisy latents at ``timestep``."""
        alpha = self.alpha(timestep)
        return alpha**0.5 * x0 + (1 - alpha) ** 0.5 * eps

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """The network's output at z -> (x0, eps)."""
        alpha = self.alpha(timestep)
        beta = 1 - alpha
        if self.prediction_type == "epsilon":
            return (z - beta**0.5 * output) / alpha**0.5, output
        return (alpha**0.5) * z - (beta**0.5) * output, (alpha**0.5) * output + (beta**0.5) * z

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """The eps that turns x0 into z."""
        alpha = self.alpha(timestep)
        return (z - alpha**0.5 * x0) / (1 - alpha) ** 0.5

    def step(self, x0: Tensor, eps: Tensor, to_timestep: float) -> Tensor:
        """Eq. 12: the state at ``to_timestep``."""
        alpha = self.alpha(to_timestep)
        direction = (1 - alpha - 0.0**2) ** 0.5 * eps
        return alpha**0.5 * x0 + direction

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """One DDIM step."""
        return self.step(*self.split(output, z, timestep), to_timestep)
