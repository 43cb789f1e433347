"""The compute of the ``encode`` stage: decoded images -> latents and pooled text."""

from typing import Any

import numpy as np
import torch

from crf.stages.arrays import LATENTS, TEXT, TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16  # fixed: another size may change the last bits of a matrix product


class EncodeImages:
    """Map a dict of arrays to a dict of arrays; the rest of the dict passes through.

    In: ``image`` uint8 (B, H, W, 3), ``caption`` (B,), ``valid`` bool (B,).
    Out, NaN for rows that are not valid: ``latents`` float16 (B, h, w, C) and ``text`` float16 (B, D), pooled. And
    ``truncated`` bool (B,): the text encoder reads only the beginning of the caption.
    """

    def __init__(self, teacher_path: str, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        silence_truncation(self.teacher)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._encode(batch["image"][start : start + MICRO_BATCH], batch["caption"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["image"]), MICRO_BATCH)
        ]
        latents, text = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        latents[~batch["valid"]] = np.nan
        text[~batch["valid"]] = np.nan
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        rest = {name: values for name, values in batch.items() if name != "image"}
        return {**rest, LATENTS: latents, TEXT: text, TRUNCATED: truncated}

    def _encode(self, image_BHWC: Any, captions: Any) -> tuple[Any, Any]:
        x_BCHW = torch.from_numpy(np.ascontiguousarray(image_BHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
        pooled_BD = self.teacher.pooled_text([str(caption) for caption in captions])
        return half_channels_last(self.teacher.encode(x_BCHW)), pooled_BD.cpu().numpy().astype(np.float16)


def half_channels_last(z_BCHW: torch.Tensor) -> Any:
    """The latents as the store keeps them: numpy float16 (B, H, W, C)."""
    return z_BCHW.permute(0, 2, 3, 1).contiguous().cpu().numpy().astype(np.float16)
