"""The teacher: an unmodified Stable Diffusion 1.x, 2.x, XL or 3.x model in diffusers format."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from crf.teacher.families import FAMILIES, Condition, family_name
from crf.teacher.folder import TeacherShape, check_teacher, load_arguments
from crf.teacher.noise_schedule import read_noise_schedule


class Teacher:
    """A diffusers pipeline seen as the few operations that LatentCRF needs of it.

    Latents are those of the diffusion process: the VAE's, shifted and scaled. What differs between
    the kinds of teachers is in ``family`` and ``levels``.
    """

    def __init__(self, pipeline: Any) -> None:
        """``pipeline``: of a known family; raises TeacherError for another, and for an unknown prediction."""
        self.pipeline, self.vae = pipeline, pipeline.vae
        self.family = FAMILIES[family_name(type(pipeline))](pipeline)
        self.noise_schedule = read_noise_schedule(pipeline.scheduler.config)
        parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
        configs = {name: config_of(part) for name, part in parts.items()}
        self.shape = TeacherShape.of(configs, dict(pipeline.scheduler.config))

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """From a folder in diffusers format; raises TeacherError where it is none."""
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        folder = check_teacher(path)
        pipeline = DiffusionPipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **load_arguments(folder)
        )
        return cls(pipeline.to(device))

    @property
    def device(self) -> torch.device:
        """Where it computes, also when its weights wait elsewhere."""
        device: torch.device = self.pipeline._execution_device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The latents'."""
        dtype: torch.dtype = self.family.network.dtype
        return dtype

    @property
    def default_size(self) -> int:
        """Pixels a side that the network was trained for."""
        return self.shape.default_size

    def latent_shape(self, height: int, width: int | None = None) -> tuple[int, int, int]:
        """(C, H, W) at so many pixels; square if no width is given."""
        return self.shape.latent_shape(height, width)

    @torch.no_grad()
    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Pixels in [-1, 1] -> latents: the posterior's mode, so that the same image gives the same bytes."""
        posterior = self.vae.encode(x_BCHW.to(self.device, self.vae.dtype)).latent_dist
        z_BCHW: Tensor = (posterior.mode() - self.shape.shift_factor) * self.shape.scaling_factor
        return z_BCHW

    @torch.no_grad()
    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Latents -> pixels in [-1, 1]."""
        stored = self.vae.dtype
        upcast = self.family.upcasts_vae and stored == torch.float16 and self.vae.config.force_upcast
        if upcast:
            self.vae.to(torch.float32)
        z_BCHW = z_BCHW.to(self.device, self.vae.dtype) / self.shape.scaling_factor + self.shape.shift_factor
        x_BCHW: Tensor = self.vae.decode(z_BCHW).sample.clamp(-1, 1)
        if upcast:
            self.vae.to(stored)
        return x_BCHW

    @torch.no_grad()
    def condition(
        self, prompts: list[str], guidance_scale: float, negatives: list[str] | None = None, images_each: int = 1
    ) -> Condition:
        """What ``guided_output`` and the CRF need of B prompts: B * ``images_each`` rows, a prompt's side by side.

        ``negatives``: what to steer away from, one a prompt; nothing in particular if None.
        """
        return self.family.condition(prompts, guidance_scale, negatives, images_each)

    def pooled_text(self, captions: list[str]) -> Tensor:
        """The CRF's text condition (B, D)."""
        return self.condition(captions, guidance_scale=1).pooled_BD

    @torch.no_grad()
    def guided_output(self, z_BCHW: Tensor, timestep: float, given: Condition) -> Tensor:
        """Classifier-free guidance (Ho & Salimans 2022): one call of the network, without and with the caption."""
        if not given.is_guided:
            return self.family.evaluate(z_BCHW, timestep, given.inputs)
        without, with_caption = self.family.evaluate(torch.cat([z_BCHW] * 2), timestep, given.inputs).chunk(2)
        return without + given.guidance_scale * (with_caption - without)


def config_of(module: Any) -> dict[str, Any]:
    """diffusers keeps a model's config as a dict, transformers as an object."""
    config: dict[str, Any] = module.config if isinstance(module.config, dict) else module.config.to_dict()
    return config


def to_images(x_BCHW: Tensor) -> list[Any]:
    """Pixels in [-1, 1] -> PIL images."""
    from PIL import Image

    bytes_BHWC = ((x_BCHW + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(pixels) for pixels in bytes_BHWC]
