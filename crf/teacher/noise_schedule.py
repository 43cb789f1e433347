"""The noise schedule of a teacher, whichever way it mixes latents and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from crf.schedule import Spacing

if TYPE_CHECKING:  # a plan reads timesteps without torch
    from torch import Tensor


class NoiseSchedule(Protocol):
    """What sampling asks of a noise schedule. z: noisy latents; x0, eps: estimates of latents and noise; all BCHW."""

    final: float
    """The timestep at which the last step ends: nothing is left to denoise."""

    def with_spacing(self, spacing: Spacing) -> NoiseSchedule:
        """A schedule with the same noise and other timesteps; raises TeacherError if it allows no choice."""

    def timesteps(self, steps: int) -> Sequence[float]:
        """The falling timesteps of a schedule of ``steps`` steps."""

    def path(self, steps: int) -> Sequence[tuple[float, float]]:
        """The steps of a schedule: (timestep of the evaluation, timestep stepped to)."""

    def multistep(self) -> Any:
        """A new DPM-Solver++ scheduler from diffusers over the same noise schedule."""

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """The noisy latents at ``timestep``."""

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """The network's output at z -> (x0, eps)."""

    def signal(self, timestep: float) -> Tensor:
        """The factor of x0 in z, a scalar tensor."""

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """The eps that turns x0 into z."""

    def step(self, x0: Tensor, eps: Tensor, to_timestep: float) -> Tensor:
        """The state at ``to_timestep``."""

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """One step of the sampler: ``split``, then ``step``, in the order of diffusers' arithmetic."""


def read_noise_schedule(scheduler_config: Any) -> NoiseSchedule:
    """Read the noise schedule from a teacher's scheduler config; raises TeacherError if sampling cannot follow it.

    A config for flow matching has a shift and is sampled by Euler steps; any other has betas and is sampled
    by DDIM, whatever sampler it names.
    """
    from crf.teacher.ddim import DiffusionSchedule
    from crf.teacher.flow_matching import FlowSchedule

    return FlowSchedule(scheduler_config) if "shift" in scheduler_config else DiffusionSchedule(scheduler_config)
