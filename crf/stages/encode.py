"""What the ``encode`` stage computes: decoded images -> latents and pooled text."""

from typing import Any

import numpy as np
import torch

from crf.device import Copies, Precision, set_up
from crf.stages.arrays import LATENTS, TEXT, TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.micro_batches import MICRO_BATCH, StageModel
from crf.teacher.teacher import Teacher


class EncodeImages(StageModel):
    """Encode a dict of image and caption arrays as a dict of latents and text embeddings.

    Reads ``image`` uint8 (B, H, W, 3), ``caption`` str (B,) and ``valid`` bool (B,).

    Adds ``latents`` float16 (B, h, w, C) and ``text`` float16 (B, D), the pooled text; both are NaN for invalid
    rows. Also adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit.
    Removes ``image``; all other entries pass through.
    """

    def __init__(
        self,
        teacher_path: str,
        device: str,
        threads: int,
        dtype: Precision = "float32",
        micro_batch: int = MICRO_BATCH,
        vae_tiling: bool = False,
        compiled: bool = False,
    ) -> None:
        set_up(threads)
        self.teacher = Teacher.load(teacher_path, device, getattr(torch, dtype)).speed_up(compiled)
        if vae_tiling:
            self.teacher.vae.enable_tiling()
        self.micro_batch, self.pads = micro_batch, compiled  # another number of rows would compile anew
        self.copies = Copies(self.teacher.device)
        silence_truncation(self.teacher)

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = self._encode(batch["image"], batch["caption"], batch["valid"])
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        rest = {name: values for name, values in batch.items() if name != "image"}
        return {**rest, **arrays, TRUNCATED: truncated}

    def _encode(self, image_BHWC: Any, captions: Any, valid_B: Any) -> dict[str, Any]:
        bytes_BHWC = self.copies.upload(np.ascontiguousarray(image_BHWC))
        x_BCHW = bytes_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
        pooled_BD = self.teacher.pooled_text([str(caption) for caption in captions])
        made = {LATENTS: to_channels_last(self.teacher.encode(x_BCHW)), TEXT: pooled_BD}
        return download_half(self.copies, made, valid_B)


def download_half(copies: Copies, arrays: dict[str, torch.Tensor], valid_B: Any) -> dict[str, Any]:
    """Begin to copy arrays (B, …) to the CPU as float16, with NaN in rows that are not valid."""
    rejected_B = copies.upload(~np.asarray(valid_B, dtype=bool))
    downloads = {}
    for name, values in arrays.items():
        shape = (-1, *[1] * (values.ndim - 1))
        downloads[name] = copies.download(values.half().masked_fill(rejected_B.view(shape), torch.nan))
    return downloads


def to_channels_last(z_BCHW: torch.Tensor) -> torch.Tensor:
    """Return latents (B, C, H, W) as (B, H, W, C)."""
    return z_BCHW.permute(0, 2, 3, 1).contiguous()


def make_half_channels_last(z_BCHW: torch.Tensor) -> Any:
    """Convert latents (B, C, H, W) to the store's form: a NumPy array, float16 (B, H, W, C)."""
    return to_channels_last(z_BCHW).half().cpu().numpy()
