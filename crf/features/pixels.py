"""Prepare decoded images for a feature network as clean-fid does: bytes, bicubic, no second rounding (Parmar 2022)."""

import torch
from torch import Tensor
from torch.nn import functional as F

RESIZE = "bicubic with antialiasing, clamped"


def quantise(x_BCHW: Tensor) -> Tensor:
    """Round pixels in [-1, 1] to the bytes of an image file, as float32 from 0 to 255."""
    return ((x_BCHW.float() + 1) * 127.5).round().clamp(0, 255)


def resize(bytes_BCHW: Tensor, side: int) -> Tensor:
    """Resize images to ``side`` x ``side``, clamped to 0 to 255 but not rounded."""
    resized_BCHW = F.interpolate(bytes_BCHW, (side, side), mode="bicubic", antialias=True)
    return resized_BCHW.clamp(0, 255)


def crop_centre(x_BCHW: Tensor, side: int) -> Tensor:
    """Crop images to their central ``side`` x ``side`` pixels."""
    top, left = ((length - side) // 2 for length in x_BCHW.shape[2:])
    return x_BCHW[..., top : top + side, left : left + side]


def normalise(bytes_BCHW: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """Scale pixels from 0 to 255 to 0 to 1, subtract the channels' means and divide by their deviations."""
    mean_C11, std_C11 = (torch.tensor(values, device=bytes_BCHW.device)[:, None, None] for values in (mean, std))
    return (bytes_BCHW / 255 - mean_C11) / std_C11
