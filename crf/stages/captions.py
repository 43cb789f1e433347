"""Captions that are longer than the teacher's text encoder reads: they are marked, not warned about."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.teacher.teacher import Teacher

WARNINGS = ("Token indices sequence length is longer than", "The following part of your input was truncated because")


def silence_truncation(teacher: Teacher) -> None:
    """Drop the tokenizer's and diffusers' warnings of truncated captions, and no others, in this process."""
    for name in ("transformers.tokenization_utils_base", teacher.pipeline.encode_prompt.__module__):
        logging.getLogger(name).addFilter(is_no_truncation)


def is_no_truncation(record: logging.LogRecord) -> bool:
    """Whether a log record warns of anything else than a truncated caption."""
    return not str(record.msg).startswith(WARNINGS)


def find_truncated(teacher: Teacher, captions: list[str]) -> npt.NDArray[Any]:
    """Mark, bool (B,), the captions of which the teacher's first text encoder reads only the beginning."""
    tokenizer = teacher.pipeline.tokenizer
    tokens = tokenizer(captions).input_ids
    return np.array([len(ids) > tokenizer.model_max_length for ids in tokens])
