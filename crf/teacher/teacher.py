"""The teacher: an unmodified Stable Diffusion 1.x, 2.x, XL or 3.x model in diffusers format."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from crf.teacher import autoencoders
from crf.teacher.families import FAMILIES, Condition, find_family
from crf.teacher.folder import TeacherShape, check_teacher, choose_dtypes, make_load_arguments, read_config
from crf.teacher.noise_schedule import read_noise_schedule

PIXELS_AT_ONCE = 16 * 512 * 512
"""The VAE takes as many images at a time as have so many pixels, at least one: it needs kilobytes for each."""


class Teacher:
    """A text-to-image diffusion model: encode and decode images, encode prompts, and evaluate the network.

    Latents are those of the VAE, shifted by ``shift_factor`` and scaled by ``scaling_factor``. Use ``Teacher.load``
    to load one from a folder.

    Args:
        pipeline: A loaded StableDiffusionPipeline, StableDiffusionXLPipeline or StableDiffusion3Pipeline, or one
            derived from them; it is not modified.

    Raises:
        TeacherError: The pipeline, its autoencoder or its scheduler is of an unsupported kind.

    Example:
        >>> teacher = Teacher.load("path/to/teacher", device="cuda")
        >>> z_BCHW = teacher.encode(pixels_BCHW)  # 512 pixels per side -> (B, 4, 64, 64)
    """

    differentiable = False
    """Whether gradients flow through evaluations, each of which is then computed again on the way back."""

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
        """Load a teacher from a folder in diffusers format. Turns off the loading bars of diffusers and transformers.

        Args:
            path: The folder. Its weights are safetensors.
            device: Device to compute on. Default "cpu".
            dtype: Type of the weights. Default float32, which SDXL's VAE keeps if its config has ``force_upcast``.

        Returns:
            The teacher.

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
            folder, dtype=choose_dtypes(folder, dtype), use_safetensors=True, **make_load_arguments(folder)
        )
        return cls(pipeline.to(device))

    def speed_up(self, compiled: bool = False) -> Self:
        """Arrange the weights for their device: channels last on a GPU. This can move the last bits of a result.

        Args:
            compiled: Whether to apply ``torch.compile`` to the network and the VAE's encoder. Default False.

        Returns:
            The teacher itself.
        """
        network = self.family.network
        if self.device.type == "cuda":
            for part in (network, self.vae):
                part.to(memory_format=torch.channels_last)
        if compiled:
            network.compile()
            self.vae.encoder.compile()
        return self

    @property
    def device(self) -> torch.device:
        """The device that the teacher computes on, even while its weights are offloaded."""
        device: torch.device = self.pipeline._execution_device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the network computes in."""
        dtype: torch.dtype = self.family.network.dtype
        return dtype

    @property
    def default_size(self) -> int:
        """Pixels per side that the network was trained for."""
        return self.shape.default_size

    def latent_shape(self, height: int, width: int | None = None) -> tuple[int, int, int]:
        """Compute the shape of an image's latents.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels. Default: ``height``.

        Returns:
            (channels, height, width) of the latents.
        """
        return self.shape.latent_shape(height, width)

    @torch.no_grad()
    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Encode images as latents. Takes the mode of the VAE's distribution, so the result is deterministic.

        Args:
            x_BCHW: Pixels in [-1, 1], (B, 3, H, W); converted to the VAE's device and dtype.

        Returns:
            Latents, (B, C, h, w).
        """
        parts = [
            autoencoders.encode(self.vae, part) for part in split_images(x_BCHW.to(self.device, self.vae.dtype), 1)
        ]
        return (torch.cat(parts) - self.shape.shift_factor) * self.shape.scaling_factor

    @torch.no_grad()
    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Decode latents to images.

        Args:
            z_BCHW: Latents, (B, C, h, w); converted to the VAE's device and dtype.

        Returns:
            Pixels, clamped to [-1, 1], (B, 3, H, W).
        """
        stored = self.vae.dtype
        upcast = self.family.upcasts_vae and stored == torch.float16 and self.vae.config.get("force_upcast")
        if upcast:
            self.vae.to(torch.float32)
        z_BCHW = z_BCHW.to(self.device, self.vae.dtype) / self.shape.scaling_factor + self.shape.shift_factor
        parts = [autoencoders.decode(self.vae, part) for part in split_images(z_BCHW, self.shape.factor)]
        x_BCHW = torch.cat(parts).clamp(-1, 1)
        if upcast:
            self.vae.to(stored)
        return x_BCHW

    @torch.no_grad()
    def condition(
        self, prompts: list[str], guidance_scale: float, negatives: list[str] | None = None, images_each: int = 1
    ) -> Condition:
        """Encode prompts for ``guided_output`` and the CRF.

        Args:
            prompts: B prompts.
            guidance_scale: Scale of classifier-free guidance; 1 or less for none.
            negatives: Negative prompts, one per prompt. Default: none.
            images_each: Images per prompt. Default 1.

        Returns:
            The condition of B * ``images_each`` rows; the rows of one prompt are adjacent.
        """
        return self.family.condition(prompts, guidance_scale, negatives, images_each)

    def pooled_text(self, captions: list[str]) -> Tensor:
        """Encode captions as the pooled text that conditions the CRF.

        Args:
            captions: B captions.

        Returns:
            The pooled text, (B, D).
        """
        return self.condition(captions, guidance_scale=1).pooled_BD

    def guided_output(self, z_BCHW: Tensor, timestep: float, given: Condition) -> Tensor:
        """Return the guided output (B, C, H, W) of ``evaluate``: eps, v or the velocity, as the teacher predicts."""
        return self.evaluate(z_BCHW, timestep, given)[0]

    def evaluate(
        self,
        z_BCHW: Tensor,
        timestep: float,
        given: Condition,
        guided: bool = True,
        reused_BCHW: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Evaluate the network with classifier-free guidance (Ho & Salimans 2022), in one call.

        The network computes in its own dtype; everything else is computed in the state's.

        Args:
            z_BCHW: The noisy state, (B, C, H, W).
            timestep: Timestep of the state.
            given: The condition of the B rows.
            guided: Whether there is guidance at this evaluation, if the condition has any. Default True.
            reused_BCHW: An earlier guidance difference, (B, C, H, W), to reuse: the network then runs with the caption
                alone. None (default) to compute it.

        Returns:
            The guided output, (B, C, H, W), and the guidance difference that it rests on: the output with the caption
            minus that without it, or None if there is no guidance.
        """
        if not given.is_guided:
            return self._evaluate(z_BCHW, timestep, given.inputs), None
        if not guided or reused_BCHW is not None:
            with_caption = self._evaluate(
                z_BCHW, timestep, {name: rows[len(z_BCHW) :] for name, rows in given.inputs.items()}
            )
            rest = 0 if reused_BCHW is None else (given.guidance_scale - 1) * reused_BCHW
            return with_caption + rest, reused_BCHW
        without, with_caption = self._evaluate(torch.cat([z_BCHW] * 2), timestep, given.inputs).chunk(2)
        difference = with_caption - without
        return without + given.guidance_scale * difference, difference

    def _evaluate(self, z_BCHW: Tensor, timestep: float, inputs: dict[str, Tensor]) -> Tensor:
        given = (z_BCHW.to(self.dtype), timestep, inputs)
        if self.differentiable:
            output_BCHW: Tensor = checkpoint(self.family.evaluate, *given, use_reentrant=False)
        else:
            with torch.no_grad():
                output_BCHW = self.family.evaluate(*given)
        return output_BCHW.to(z_BCHW.dtype)


def split_images(images_BCHW: Tensor, factor: int) -> tuple[Tensor, ...]:
    """Split images, or latents with ``factor`` pixels along each side, into what the VAE takes at a time."""
    pixels = images_BCHW[0, 0].numel() * factor**2
    return torch.split(images_BCHW, max(1, PIXELS_AT_ONCE // pixels))


def to_images(x_BCHW: Tensor) -> list[Any]:
    """Convert pixels in [-1, 1] (B, 3, H, W) to PIL images."""
    from PIL import Image

    bytes_BHWC = ((x_BCHW + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(pixels) for pixels in bytes_BHWC]
