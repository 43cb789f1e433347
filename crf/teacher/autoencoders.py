"""The supported autoencoders: all of diffusers' classes with 4-D latents that its pipelines accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crf.errors import TeacherError

if TYPE_CHECKING:  # a plan reads configs without torch
    from torch import Tensor

# Class -> the config entry that lists the channels of the encoder's blocks. Each block but the first halves the sides.
AUTOENCODERS = {
    "AutoencoderKL": "block_out_channels",
    "AsymmetricAutoencoderKL": "down_block_out_channels",
    "AutoencoderTiny": "encoder_block_out_channels",
    "ConsistencyDecoderVAE": "encoder_block_out_channels",
    "VQModel": "block_out_channels",
}


def check_autoencoder(name: str) -> None:
    """Raise TeacherError if the class of autoencoder is not supported."""
    if name not in AUTOENCODERS:
        raise TeacherError(f"an autoencoder of {', '.join(AUTOENCODERS)}", name, "use a teacher with one of these")


def find_factor(name: str, config: dict[str, Any]) -> int:
    """Compute the number of pixels per latent pixel, along each side. ``name``: the class of autoencoder."""
    check_autoencoder(name)
    return int(2 ** (len(config[AUTOENCODERS[name]]) - 1))


def encode(vae: Any, x_BCHW: Tensor) -> Tensor:
    """Encode pixels in [-1, 1] to the VAE's own latents. Takes the mode of a distribution, and so is deterministic."""
    output = vae.encode(x_BCHW)
    z_BCHW: Tensor = output.latent_dist.mode() if hasattr(output, "latent_dist") else output.latents
    return z_BCHW


def decode(vae: Any, z_BCHW: Tensor) -> Tensor:
    """Decode the VAE's own latents to pixels. A decoder that samples gets the same noise for each image and call."""
    import torch

    if type(vae).__name__ != "ConsistencyDecoderVAE":
        x_BCHW: Tensor = vae.decode(z_BCHW).sample
        return x_BCHW
    # The scheduler draws from one generator only, so the images are decoded one by one.
    return torch.cat(
        [vae.decode(z_1CHW, generator=torch.Generator().manual_seed(0)).sample for z_1CHW in z_BCHW[:, None]]
    )
