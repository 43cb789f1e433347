"""The compute of the ``encode`` stage: decoded images -> latents and pooled text."""

from typing import Any

import numpy as np
import torch

from crf.stages.arrays import LATENTS, TEXT
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16  # fixed: another size may move the last bits of a matrix product


class EncodeImages:
    """Dict of arrays in, dict of arrays out; the rest of the dict passes through.

    In: ``image`` uint8 (B, H, W, 3), ``caption`` (B,), ``valid`` bool (B,).
    Out: ``latents`` float16 (B, h, w, C) and ``text`` float16 (B, D); NaN where not valid.
    """

    def __init__(self, teacher_path: str, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._encode(batch["image"][start : start + MICRO_BATCH], batch["caption"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["image"]), MICRO_BATCH)
        ]
        latents, text = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        latents[~batch["valid"]] = np.nan
        text[~batch["valid"]] = np.nan
        return {**{name: values for name, values in batch.items() if name != "image"}, LATENTS: latents, TEXT: text}

    def _encode(self, image_BHWC: Any, captions: Any) -> tuple[Any, Any]:
        x_BCHW = torch.from_numpy(np.ascontiguousarray(image_BHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
        pooled_BD = self.teacher.pooled_text([str(caption) for caption in captions])
        return half_channels_last(self.teacher.encode(x_BCHW)), pooled_BD.cpu().numpy().astype(np.float16)


def half_channels_last(z_BCHW: torch.Tensor) -> Any:
    """-> numpy float16 (B, H, W, C), as the store keeps it."""
    return z_BCHW.permute(0, 2, 3, 1).contiguous().cpu().numpy().astype(np.float16)
