"""What a CRF may observe at its place in a trajectory."""

from dataclasses import dataclass

from torch import Tensor

from crf.errors import InputError
from crf.model.config import LatentCRFConfig


@dataclass(frozen=True)
class Observation:
    """What a CRF may observe. ``crf_input`` and ``with_timesteps`` say which of it a CRF takes; the rest may be None.

    Args:
        state_BCHW: The noisy state, (B, C, H, W).
        x0_BCHW: The teacher's x0 prediction at that state, (B, C, H, W).
        previous_BCHW: The x0 prediction of the evaluation before, (B, C, H, W); that of the first one is its own.
        guidance_BCHW: The difference between x0 with the caption and without it, (B, C, H, W), at the last guided
            evaluation; zeros if there was none.
        timesteps_B2: Timesteps of the evaluation before the CRF and of the one after it, (B, 2).
    """

    state_BCHW: Tensor
    x0_BCHW: Tensor | None = None
    previous_BCHW: Tensor | None = None
    guidance_BCHW: Tensor | None = None
    timesteps_B2: Tensor | None = None

    def select(self, config: LatentCRFConfig) -> tuple[Tensor, ...]:
        """Select the inputs that ``crf_input`` names, (B, C, H, W) each. For the previous x0, x0's change since it.

        Raises:
            InputError: The latents do not have the config's shape, or one is missing.
        """
        expected = (config.channels, config.height, config.width)
        if tuple(self.state_BCHW.shape[1:]) != expected:
            raise InputError(
                f"latents of {expected} (channels, height, width)",
                f"{tuple(self.state_BCHW.shape[1:])}",
                "generate at the size that this CRF was trained for, or use another CRF",
            )
        return tuple(self._find(name, config.crf_input) for name in config.crf_input.split("+"))

    def require_timesteps(self) -> Tensor:
        """Return the timesteps (B, 2). Raises InputError if they are missing."""
        if self.timesteps_B2 is None:
            raise InputError("the timesteps for a CRF that is told them", "none", "pass timesteps_B2")
        return self.timesteps_B2

    def _find(self, name: str, crf_input: str) -> Tensor:
        if name == "state":
            return self.state_BCHW
        if name == "x0":
            return require(self.x0_BCHW, "the teacher's x0 prediction", "x0_BCHW", crf_input)
        if name == "guidance":
            return require(self.guidance_BCHW, "the guidance difference", "guidance_BCHW", crf_input)
        previous_BCHW = require(self.previous_BCHW, "the x0 prediction before", "previous_BCHW", crf_input)
        return require(self.x0_BCHW, "the teacher's x0 prediction", "x0_BCHW", crf_input) - previous_BCHW


def require(found: Tensor | None, what: str, argument: str, crf_input: str) -> Tensor:
    """Return an input. Raises InputError if it is missing."""
    if found is None:
        raise InputError(f"{what} for crf_input={crf_input!r}", "none", f"pass {argument}")
    return found
