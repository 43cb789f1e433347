"""The teacher: an unmodified Stable Diffusion 1.x, 2.x, XL or 3.x model in diffusers format."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from crf.teacher import autoencoders
from crf.teacher.families import FAMILIES, Condition, find_family
from crf.teacher.folder import TeacherShape, check_teacher, make_load_arguments
from crf.teacher.noise_schedule import read_noise_schedule


class Teacher:
    """The few operations of a diffusers pipeline that LatentCRF needs.

    Latents are those of the diffusion process: the VAE's, shifted and scaled. ``family`` and ``noise_schedule``
    hold what differs between kinds of teachers.

    Args:
        pipeline: A loaded StableDiffusionPipeline, StableDiffusionXLPipeline or StableDiffusion3Pipeline, or one
            derived from them; it is not modified.

    Raises:
        TeacherError: The pipeline, its autoencoder or its scheduler is of an unsupported kind.

    Example:
        >>> teacher = Teacher.load("path/to/teacher", device="cuda")
        >>> z_BCHW = teacher.encode(pixels_BCHW)  # 512 pixels per side -> (B, 4, 64, 64)
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.vae = pipeline, pipeline.vae
        self.family = FAMILIES[find_family(type(pipeline))](pipeline)
        self.noise_schedule = read_noise_schedule(pipeline.scheduler.config)
        parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
        configs = {name: read_config(part) for name, part in parts.items()}
        vae_class, scheduler_config = type(self.vae).__name__, dict(pipeline.scheduler.config)
        self.shape = TeacherShape.from_configs(configs, vae_class, scheduler_config)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """Load a teacher from a folder in diffusers format.

        Args:
            path: The folder, with safetensors weights.
            device: Where to compute; "cpu" by default.
            dtype: Of the weights and latents; float32 by default.

        Raises:
            TeacherError: The folder holds no teacher, or one of an unsupported kind.
        """
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        folder = check_teacher(path)
        pipeline = DiffusionPipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **make_load_arguments(folder)
        )
        return cls(pipeline.to(device))

    @property
    def device(self) -> torch.device:
        """Where the teacher computes, even while its weights are offloaded."""
        device: torch.device = self.pipeline._execution_device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the latents."""
        dtype: torch.dtype = self.family.network.dtype
        return dtype

    @property
    def default_size(self) -> int:
        """Pixels per side that the network was trained for."""
        return self.shape.default_size

    def latent_shape(self, height: int, width: int | None = None) -> tuple[int, int, int]:
        """Latents (C, H, W) of an image of ``height`` by ``width`` pixels, square by default."""
        return self.shape.latent_shape(height, width)

    @torch.no_grad()
    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Encode pixels in [-1, 1] (B, 3, H, W) as latents (B, C, h, w), without sampling."""
        z_BCHW = autoencoders.encode(self.vae, x_BCHW.to(self.device, self.vae.dtype))
        return (z_BCHW - self.shape.shift_factor) * self.shape.scaling_factor

    @torch.no_grad()
    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Decode latents (B, C, h, w) to pixels in [-1, 1] (B, 3, H, W)."""
        stored = self.vae.dtype
        upcast = self.family.upcasts_vae and stored == torch.float16 and self.vae.config.get("force_upcast")
        if upcast:
            self.vae.to(torch.float32)
        z_BCHW = z_BCHW.to(self.device, self.vae.dtype) / self.shape.scaling_factor + self.shape.shift_factor
        x_BCHW = autoencoders.decode(self.vae, z_BCHW).clamp(-1, 1)
        if upcast:
            self.vae.to(stored)
        return x_BCHW

    @torch.no_grad()
    def condition(
        self, prompts: list[str], guidance_scale: float, negatives: list[str] | None = None, images_each: int = 1
    ) -> Condition:
        """Encode B prompts for ``guided_output`` and the CRF.

        Args:
            prompts: The B prompts.
            guidance_scale: Classifier-free guidance; 1 or less for none.
            negatives: What to steer away from, one per prompt; nothing in particular by default.
            images_each: Images per prompt, 1 by default.

        Returns:
            The condition of B * ``images_each`` rows; the rows of a prompt are adjacent.
        """
        return self.family.condition(prompts, guidance_scale, negatives, images_each)

    def pooled_text(self, captions: list[str]) -> Tensor:
        """The CRF's text condition (B, D)."""
        return self.condition(captions, guidance_scale=1).pooled_BD

    @torch.no_grad()
    def guided_output(self, z_BCHW: Tensor, timestep: float, given: Condition) -> Tensor:
        """The network's output (B, C, H, W) under classifier-free guidance (Ho & Salimans 2022), from one call."""
        if not given.is_guided:
            return self.family.evaluate(z_BCHW, timestep, given.inputs)
        without, with_caption = self.family.evaluate(torch.cat([z_BCHW] * 2), timestep, given.inputs).chunk(2)
        return without + given.guidance_scale * (with_caption - without)


def read_config(module: Any) -> dict[str, Any]:
    """A model's config as a dict: diffusers keeps one, transformers an object."""
    config: dict[str, Any] = module.config if isinstance(module.config, dict) else module.config.to_dict()
    return config


def to_images(x_BCHW: Tensor) -> list[Any]:
    """Convert pixels in [-1, 1] (B, 3, H, W) to PIL images."""
    from PIL import Image

    bytes_BHWC = ((x_BCHW + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(pixels) for pixels in bytes_BHWC]
