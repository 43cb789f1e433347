"""The teacher: an unmodified Stable-Diffusion-style model in diffusers format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from crf.ddim import NoiseLevels
from crf.teacher_folder import check_teacher


class Teacher:
    """A teacher's parts and the few operations that the pipeline needs of them.

    Latents are those of the diffusion process: the VAE's, times its scaling factor.
    """

    def __init__(self, pipeline: Any) -> None:
        self.vae, self.unet = pipeline.vae, pipeline.unet
        self.text_encoder, self.tokenizer = pipeline.text_encoder, pipeline.tokenizer
        self.levels = NoiseLevels(pipeline.scheduler.config)
        self.scheduler_config = dict(pipeline.scheduler.config)
        self.scaling_factor: float = self.vae.config.scaling_factor
        self.device: torch.device = pipeline.device

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """From a folder in diffusers format; raises TeacherError where it is none."""
        from diffusers import StableDiffusionPipeline
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        folder = check_teacher(path)
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        return cls(pipeline.to(device))

    @property
    def factor(self) -> int:
        """Pixels a latent, along each side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.in_channels)

    @property
    def default_size(self) -> int:
        """Pixels a side that the U-Net was trained for."""
        return int(self.unet.config.sample_size) * self.factor

    @property
    def text_width(self) -> int:
        return int(self.text_encoder.config.hidden_size)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, H, W) at ``size`` pixels a side."""
        return self.latent_channels, size // self.factor, size // self.factor

    @torch.no_grad()
    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Pixels in [-1, 1] -> latents: the posterior's mode, so that the same image gives the same bytes."""
        posterior = self.vae.encode(x_BCHW.to(self.device, self.vae.dtype)).latent_dist
        z_BCHW: Tensor = posterior.mode() * self.scaling_factor
        return z_BCHW

    @torch.no_grad()
    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Latents -> pixels in [-1, 1]."""
        z_BCHW = z_BCHW.to(self.device, self.vae.dtype) / self.scaling_factor
        x_BCHW: Tensor = self.vae.decode(z_BCHW).sample.clamp(-1, 1)
        return x_BCHW

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Captions -> the text encoder's states (B, L, D), and their mean over the caption's own tokens (B, D)."""
        tokens = self.tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).to(self.device)
        states_BLD = self.text_encoder(tokens.input_ids).last_hidden_state
        mask_BL1 = tokens.attention_mask[..., None].to(states_BLD.dtype)
        return states_BLD, (states_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)

    @torch.no_grad()
    def guided_output(self, z_BCHW: Tensor, timestep: int, text_2BLD: Tensor, guidance: float) -> Tensor:
        """Classifier-free guidance (Ho & Salimans 2022): one U-Net call, without and with the caption.

        ``text_2BLD``: the empty caption's states B times, then the captions'.
        """
        output: Tensor = self.unet(torch.cat([z_BCHW] * 2), timestep, encoder_hidden_states=text_2BLD).sample
        without, with_caption = output.chunk(2)
        return without + guidance * (with_caption - without)

    def guidance_text(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Captions -> (states for ``guided_output`` (2B, L, D), pooled (B, D))."""
        empty_BLD, _ = self.embed([""] * len(captions))
        states_BLD, pooled_BD = self.embed(captions)
        return torch.cat([empty_BLD, states_BLD]), pooled_BD
