"""Generate with a teacher and a CRF."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from crf.model import LatentCRF
from crf.sampling import condition, finish, lead
from crf.schedule import Schedule
from crf.teacher import Teacher

PAPER = "31/40 + crf + 2/50"


@dataclass
class Generated:
    """PIL images, and the final latents (B, C, H, W) they were decoded from."""

    images: list[Any]
    latents: torch.Tensor


class LatentCRFPipeline:
    """An unmodified teacher, a CRF, and the schedule that runs them."""

    def __init__(self, teacher: Teacher, crf: LatentCRF | None, schedule: Schedule) -> None:
        self.teacher, self.schedule = teacher, schedule
        self.crf = crf.eval().to(teacher.device) if crf else None

    @classmethod
    def from_teacher(
        cls, teacher: str | Path | Any, crf: str | Path | LatentCRF | None = None, schedule: Schedule | None = None
    ) -> Self:
        """``teacher``: a folder in diffusers format, a Teacher, or a loaded StableDiffusionPipeline."""
        if isinstance(teacher, (str, Path)):
            teacher = Teacher.load(teacher)
        elif not isinstance(teacher, Teacher):
            teacher = Teacher(teacher)
        model: LatentCRF | None = LatentCRF.from_pretrained(crf) if isinstance(crf, (str, Path)) else crf
        return cls(teacher, model, schedule or Schedule.parse(PAPER if model else "50/50"))

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        *,
        guidance_scale: float = 7.5,
        generator: torch.Generator | None = None,
        latents: torch.Tensor | None = None,
        size: int | None = None,
    ) -> Generated:
        """Images of ``prompt``. ``latents``: the starting noise (B, C, H, W); ``size``: pixels a side."""
        prompts = [prompt] if isinstance(prompt, str) else prompt
        if latents is None:
            shape = self.teacher.latent_shape(size or self.teacher.default_size)
            latents = torch.randn((len(prompts), *shape), generator=generator)
        given = condition(self.teacher, prompts, guidance_scale)
        reached = lead(self.teacher, self.schedule, latents, given)
        z_BCHW = finish(self.teacher, self.schedule, reached, given, self.crf)
        return Generated(to_images(self.teacher.decode(z_BCHW)), z_BCHW)


def to_images(x_BCHW: torch.Tensor) -> list[Any]:
    """Pixels in [-1, 1] -> PIL images."""
    from PIL import Image

    bytes_BHWC = ((x_BCHW + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(pixels) for pixels in bytes_BHWC]
