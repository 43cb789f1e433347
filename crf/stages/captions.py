"""Mark captions that exceed the text encoder's limit, in place of a warning per caption."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.teacher.teacher import Teacher

WARNINGS = ("Token indices sequence length is longer than", "The following part of your input was truncated because")


def silence_truncation(teacher: Teacher) -> None:
    """Suppress the warnings about truncated captions from transformers and diffusers, in this process."""
    for name in ("transformers.tokenization_utils_base", teacher.pipeline.encode_prompt.__module__):
        logging.getLogger(name).addFilter(is_no_truncation)


def is_no_truncation(record: logging.LogRecord) -> bool:
    """Return False for a warning about a truncated caption, True for every other log record."""
    return not str(record.msg).startswith(WARNINGS)


def find_truncated(teacher: Teacher, captions: list[str]) -> npt.NDArray[Any]:
    """Return a mask, bool (B,): True if a caption exceeds the token limit of the teacher's first text encoder."""
    tokenizer = teacher.pipeline.tokenizer
    tokens = tokenizer(captions).input_ids
    return np.array([len(ids) > tokenizer.model_max_length for ids in tokens])
