"""What the ``encode`` stage computes: decoded images -> latents and pooled text."""

from typing import Any

import numpy as np
import torch

from crf.stages.arrays import LATENTS, TEXT, TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.micro_batches import StageModel
from crf.teacher.teacher import Teacher


class EncodeImages(StageModel):
    """Encode a dict of image and caption arrays as a dict of latents and text embeddings.

    Reads ``image`` uint8 (B, H, W, 3), ``caption`` str (B,) and ``valid`` bool (B,).

    Adds ``latents`` float16 (B, h, w, C) and ``text`` float16 (B, D), the pooled text; both are NaN for invalid
    rows. Also adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit.
    Removes ``image``; all other entries pass through.
    """

    def __init__(self, teacher_path: str, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        silence_truncation(self.teacher)

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = self._encode(batch["image"], batch["caption"])
        for values in arrays.values():
            values[~batch["valid"]] = np.nan
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        rest = {name: values for name, values in batch.items() if name != "image"}
        return {**rest, **arrays, TRUNCATED: truncated}

    def _encode(self, image_BHWC: Any, captions: Any) -> dict[str, Any]:
        x_BCHW = torch.from_numpy(np.ascontiguousarray(image_BHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
        pooled_BD = self.teacher.pooled_text([str(caption) for caption in captions])
        latents = make_half_channels_last(self.teacher.encode(x_BCHW))
        return {LATENTS: latents, TEXT: pooled_BD.cpu().numpy().astype(np.float16)}


def make_half_channels_last(z_BCHW: torch.Tensor) -> Any:
    """Convert latents (B, C, H, W) to the store's form: a NumPy array, float16 (B, H, W, C)."""
    return z_BCHW.permute(0, 2, 3, 1).contiguous().cpu().numpy().astype(np.float16)
