"""Decode stored samples, and turn pixels into pictures that a page embeds."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crf.teacher.teacher import Teacher, to_images
from storage import LatentStore

DECODED_AT_ONCE = 8
LARGEST_SIDE = 192  # pixels of an embedded picture
DIFFERENCE_FACTOR = 8

Samples = dict[tuple[str, int], Tensor]
"""(key of the method, row of the store) -> pixels in [-1, 1], (3, H, W)."""


def decode_samples(store: LatentStore, teacher: Teacher, places: dict[str, Iterable[int]]) -> Samples:
    """Decode samples.

    Args:
        store: The evaluation's store.
        teacher: Decodes the latents.
        places: Key of a method -> the rows to decode of it.
    """
    samples: Samples = {}
    for key, wanted in places.items():
        rows = sorted(set(wanted))
        latents = np.stack([store.value(f"latents_{key}", row) for row in rows])
        z_BCHW = torch.from_numpy(latents).permute(0, 3, 1, 2).float()
        for start in range(0, len(rows), DECODED_AT_ONCE):
            batch = slice(start, start + DECODED_AT_ONCE)
            for row, x_CHW in zip(rows[batch], teacher.decode(z_BCHW[batch]).float().cpu(), strict=True):
                samples[key, row] = x_CHW
    return samples


def magnify_difference(x_CHW: Tensor, y_CHW: Tensor) -> Tensor:
    """Return the absolute difference of two images, times 8, as an image: black where they are equal."""
    return (x_CHW - y_CHW).abs().mul(DIFFERENCE_FACTOR).clamp(0, 2) - 1


def make_thumbnail(x_CHW: Tensor) -> Any:
    """Convert an image (3, H, W) to a PIL image of at most 192 pixels per side."""
    (image,) = to_images(x_CHW[None])
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return image


def embed_image(x_CHW: Tensor) -> str:
    """Encode a thumbnail of an image (3, H, W) as a data URL."""
    out = io.BytesIO()
    make_thumbnail(x_CHW).save(out, "WEBP", quality=88)
    return encode_data_url(out.getvalue(), "image/webp")


def encode_data_url(data: bytes, kind: str = "image/png") -> str:
    """Encode a picture's bytes as a data URL."""
    return f"data:{kind};base64," + base64.b64encode(data).decode()


def read_values(store: LatentStore, name: str) -> Any:
    """Read one value per sample, float32 (N,)."""
    return np.asarray(store[name][:])
