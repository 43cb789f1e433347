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
    """A teacher's noise schedule: cumulative alphas, and the timesteps that a number of steps visits."""

    final: float = -1

    def __init__(self, scheduler_config: Any, **changes: Any) -> None:
        """Read the scheduler's config; ``changes`` override entries that do not affect the noise, such as spacing."""
        check_scheduler(dict(scheduler_config))
        self._config = scheduler_config  # without diffusers' defaults, which clip
        self._scheduler = DDIMScheduler.from_config(scheduler_config, **changes)
        self.alphas: Tensor = self._scheduler.alphas_cumprod
        self.prediction_type: str = self._scheduler.config.prediction_type

    def with_spacing(self, spacing: Spacing) -> Self:
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

    def multistep(self) -> Any:
        """Make a second-order DPM-Solver++ scheduler (Lu et al. 2022) over this noise schedule."""
        return DPMSolverMultistepScheduler.from_config(self._scheduler.config)

    def alpha(self, timestep: float) -> Tensor:
        """Look up the cumulative alpha at an integer timestep, a scalar tensor; below 0, the schedule's final alpha."""
        return self.alphas[int(timestep)] if timestep >= 0 else self._scheduler.final_alpha_cumprod

    def signal(self, timestep: float) -> Tensor:
        """Return the factor of x0 in z, a scalar tensor."""
        return self.alpha(timestep) ** 0.5

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

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """Compute the eps for which ``add_noise`` gives z from x0."""
        alpha = self.alpha(timestep)
        return (z - alpha**0.5 * x0) / (1 - alpha) ** 0.5

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """Take one DDIM step (eq. 12) from the network's output at z to the state at ``to_timestep``."""
        return self.add_noise(*self.split(output, z, timestep), to_timestep)
