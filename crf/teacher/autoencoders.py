"""The autoencoders that a teacher may have: every one of diffusers with 4-D latents that its pipelines accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crf.errors import TeacherError

if TYPE_CHECKING:  # a plan reads configs without torch
    from torch import Tensor

# Class -> the entry of its config with the channels of the encoder's blocks; each but the first halves the sides.
AUTOENCODERS = {
    "AutoencoderKL": "block_out_channels",
    "AsymmetricAutoencoderKL": "down_block_out_channels",
    "AutoencoderTiny": "encoder_block_out_channels",
    "ConsistencyDecoderVAE": "encoder_block_out_channels",
    "VQModel": "block_out_channels",
}


def check_autoencoder(name: str) -> None:
    """Raise TeacherError for an autoencoder class that no teacher can be served with."""
    if name not in AUTOENCODERS:
        raise TeacherError(f"an autoencoder of {', '.join(AUTOENCODERS)}", name, "use a teacher with one of these")


def find_factor(name: str, config: dict[str, Any]) -> int:
    """Pixels per latent, along each side."""
    check_autoencoder(name)
    return int(2 ** (len(config[AUTOENCODERS[name]]) - 1))


def encode(vae: Any, x_BCHW: Tensor) -> Tensor:
    """The VAE's latents of pixels in [-1, 1]: the mode if it gives a distribution, so an image has one encoding."""
    output = vae.encode(x_BCHW)
    z_BCHW: Tensor = output.latent_dist.mode() if hasattr(output, "latent_dist") else output.latents
    return z_BCHW


def decode(vae: Any, z_BCHW: Tensor) -> Tensor:
    """The pixels of the VAE's latents. A decoder that samples gets the same noise for each image and each call."""
    import torch

    if type(vae).__name__ != "ConsistencyDecoderVAE":
        x_BCHW: Tensor = vae.decode(z_BCHW).sample
        return x_BCHW
    # The scheduler draws from one generator only, so the images are decoded one by one.
    return torch.cat(
        [vae.decode(z_1CHW, generator=torch.Generator().manual_seed(0)).sample for z_1CHW in z_BCHW[:, None]]
    )
