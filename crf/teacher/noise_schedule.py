"""Noise noise_schedule, whichever way a teacher mixes latents and noise."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from crf.schedule import Spacing


class NoiseSchedule(Protocol):
    """What sampling asks of a noise schedule. z: noisy latents, x0, eps: clean and noise estimates; all BCHW."""

    final: float
    """The timestep that the last step ends at: nothing is left to denoise."""

    def with_spacing(self, spacing: Spacing) -> "NoiseSchedule":
        """The same noise_schedule, their whole schedules spaced so; raises TeacherError where there is no choice."""

    def timesteps(self, steps: int) -> Sequence[float]:
        """Of a whole schedule, falling."""

    def path(self, steps: int) -> Sequence[tuple[float, float]]:
        """(timestep of the evaluation, timestep stepped to) of a whole schedule."""

    def multistep(self) -> Any:
        """A new DPM-Solver++ scheduler of diffusers' over the same noise_schedule."""

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """The noisy latents at ``timestep``."""

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """The network's output at z -> (x0, eps)."""

    def signal(self, timestep: float) -> Tensor:
        """What x0 is multiplied by in z (a scalar tensor)."""

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """The eps that makes z of x0."""

    def step(self, x0: Tensor, eps: Tensor, to_timestep: float) -> Tensor:
        """The state at ``to_timestep``."""

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """One step of the sampler: ``step`` of ``split``, in the order of diffusers' arithmetic."""


def read_noise_schedule(scheduler_config: Any) -> NoiseSchedule:
    """A teacher's scheduler config -> its levels; raises ValueError where they cannot be followed.

    Of a scheduler that is not for flow matching only the noise schedule is taken: the sampler is DDIM.
    """
    from crf.teacher.ddim import DiffusionSchedule
    from crf.teacher.flow_matching import FlowSchedule

    # Diffusion's schedulers have betas, a flow-matching one has a shift.
    return FlowSchedule(scheduler_config) if "shift" in scheduler_config else DiffusionSchedule(scheduler_config)
