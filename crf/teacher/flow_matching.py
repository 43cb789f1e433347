"""Flow matching (Lipman et al. 2022, arXiv 2210.02747), sampled by Euler steps, as Stable Diffusion 3 is.

    z = (1 - sigma) x0 + sigma eps,        v = dz / dsigma = eps - x0        (the network's output)

z: noisy latents; x0, eps: estimates of the clean latents and of the noise; all BCHW. A timestep is the network's
input: 1000 sigma, with the scheduler's shift already applied. So "2@101,21" evaluates at sigma .101 and .021,
whatever the shift. Results equal diffusers' own to the last bit.
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from crf.errors import TeacherError
from crf.teacher.folder import check_scheduler
from crf.teacher.multistep import make_multistep, place_multistep


class FlowSchedule:
    """A teacher's noise schedule: its sigmas, and the timesteps that a number of steps visits."""

    final = 0.0

    def __init__(self, scheduler_config: Any) -> None:
        check_scheduler(dict(scheduler_config))
        self._scheduler = FlowMatchEulerDiscreteScheduler.from_config(scheduler_config)

    def with_spacing(self, spacing: str) -> Self:
        """Return the schedule itself. Raises TeacherError for any spacing other than ""."""
        if spacing:
            raise TeacherError(
                "a schedule without a spacing for a flow-matching teacher, whose shift spaces its steps",
                f"'{spacing}'",
                "leave it out",
            )
        return self

    def timesteps(self, steps: int) -> list[float]:
        """List the descending timesteps of ``steps`` steps: 50, with shift 3 -> [1000.0, 993.2, ..., 8.9]."""
        self._scheduler.set_timesteps(steps)
        # In float64 a float32 sigma survives the way to a timestep and back unchanged.
        return [float(sigma) * self._scheduler.config.num_train_timesteps for sigma in self._scheduler.sigmas[:-1]]

    def path(self, steps: int) -> list[tuple[float, float]]:
        """List the steps as pairs (timestep of the evaluation, timestep stepped to)."""
        timesteps = self.timesteps(steps)
        return list(zip(timesteps, [*timesteps[1:], self.final], strict=True))

    def multistep(self, solver: str) -> Any:
        """Make diffusers' scheduler of a multistep solver over the flow's sigmas, with its own timesteps."""
        return make_multistep(solver, self._multistep_config())

    def multistep_at(self, solver: str, stops: Sequence[float]) -> Any:
        """Make diffusers' scheduler of a multistep solver for timesteps that end at the last of ``stops``."""
        sigmas = [self.noise_level(timestep) for timestep in stops]
        return place_multistep(solver, self._multistep_config(), stops, sigmas, whole=stops[-1] <= 0)

    def _multistep_config(self) -> dict[str, Any]:
        shift = self._scheduler.config.shift
        config = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}
        return {**config, "final_sigmas_type": "zero"}

    def noise_level(self, timestep: float) -> float:
        """Return diffusers' sigma: the factor of eps in z."""
        return timestep / float(self._scheduler.config.num_train_timesteps)

    def find_timestep(self, noise_level: float) -> float:
        """Return the timestep of a noise level."""
        return noise_level * float(self._scheduler.config.num_train_timesteps)

    def check_timestep(self, timestep: float) -> float:
        """Return the timestep: the network takes any."""
        return timestep

    def round_timestep(self, timestep: float) -> float:
        """Return the timestep to a thousandth, so that a schedule's text stays short."""
        return max(self.final, round(timestep, 3))

    def sigma(self, timestep: float, like: Tensor) -> Tensor:
        """Return the factor of eps in z, a float32 scalar tensor on the device of ``like``."""
        return torch.tensor(timestep / self._scheduler.config.num_train_timesteps, device=like.device)

    def signal(self, timestep: float) -> Tensor:
        """Return the factor of x0 in z, a scalar tensor."""
        return torch.tensor(1 - timestep / self._scheduler.config.num_train_timesteps)

    def noise_factor(self, timestep: float) -> float:
        """Return the factor of eps in z."""
        return self.noise_level(timestep)

    def add_noise(self, x0: Tensor, eps: Tensor, timestep: float) -> Tensor:
        """Mix x0 and eps into the state at ``timestep``."""
        sigma = self.sigma(timestep, x0)
        return (1 - sigma) * x0 + sigma * eps

    def split(self, output: Tensor, z: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        """Convert the network's output at z to (x0, eps)."""
        sigma = self.sigma(timestep, z)
        return z - sigma * output, z + (1 - sigma) * output

    def move_x0(self, output: Tensor, change: Tensor, timestep: float) -> Tensor:
        """Change the network's output at z so that its x0 prediction moves by ``change``, and its eps accordingly."""
        return output - change / self.sigma(timestep, output)

    def noise(self, z: Tensor, x0: Tensor, timestep: float) -> Tensor:
        """Compute the eps for which ``add_noise`` gives z from x0."""
        sigma = self.sigma(timestep, z)
        return (z - (1 - sigma) * x0) / sigma

    def advance(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """Take one Euler step to the state at ``to_timestep``, in float32 as diffusers does."""
        change = self.sigma(to_timestep, z) - self.sigma(timestep, z)
        return (z.to(torch.float32) + change * output).to(output.dtype)
