"""The noise schedule of a teacher: how it mixes latents and noise at each timestep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a plan reads timesteps without torch
    from torch import Tensor


class NoiseSchedule(Protocol):
    """The interface of a noise schedule: diffusion (DDIM) or flow matching (Euler).

    z: noisy latents; x0, eps: estimates of the clean latents and of the noise; all (B, C, H, W).
    """

    final: float
    """The timestep at which the last step ends, where no noise is left."""

    def with_spacing(self, spacing: str) -> NoiseSchedule:
        """Return a schedule with the same noise and other timesteps. Raises TeacherError if it has a fixed spacing."""

    def timesteps(self, steps: int) -> Sequence[float]:
        """List the descending timesteps of ``steps`` steps."""

    def path(self, steps: int) -> Sequence[tuple[float, float]]:
        """List the steps as pairs (timestep of the evaluation, timestep stepped to)."""

    def multistep(self, solver: str) -> Any:
        """Make diffusers' scheduler of a multistep solver over this noise schedule, with the solver's own timesteps."""

    def multistep_at(self, solver: str, stops: Sequence[float]) -> Any:
        """Make diffusers' scheduler of a multistep solver for evaluations at all but the last of ``stops``."""

    def noise_level(self, timestep: float) -> float:
        """Return diffusers' sigma at a timestep: the ratio of noise to signal, or the flow's sigma."""

    def find_timestep(self, noise_level: float) -> float:
        """Return the timestep of a noise level."""

    def check_timestep(self, timestep: float) -> float:
        """Return the timestep as the network takes it. Raises ScheduleError if it takes none such."""

    def round_timestep(self, timestep: float) -> float:
        """Return the nearest timestep that the network takes; ``final`` for one at which no noise is left."""

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """Mix x0 and eps into the state at ``timestep``."""

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """Convert the network's output at z to (x0, eps)."""

    def move_x0(self, output: Tensor, change: Tensor, timestep: float) -> Tensor:
        """Change the network's output at z so that its x0 prediction moves by ``change``, and its eps accordingly."""

    def signal(self, timestep: float) -> Tensor:
        """Return the factor of x0 in z, a scalar tensor."""

    def noise_factor(self, timestep: float) -> float:
        """Return the factor of eps in z."""

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """Compute the eps for which ``add_noise`` gives z from x0."""

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """Take one sampling step from the network's output at z to the state at ``to_timestep``.

        Equals ``split`` followed by ``add_noise``, with diffusers' order of arithmetic.
        """


def read_noise_schedule(scheduler_config: Any) -> NoiseSchedule:
    """Read the noise schedule from a teacher's scheduler config.

    A config with a "shift" is sampled by Euler steps (flow matching), any other by DDIM, whichever sampler it names.

    Raises:
        TeacherError: The scheduler predicts or modifies something that sampling does not support.
    """
    from crf.teacher.ddim import DiffusionSchedule
    from crf.teacher.flow_matching import FlowSchedule

    return FlowSchedule(scheduler_config) if "shift" in scheduler_config else DiffusionSchedule(scheduler_config)
