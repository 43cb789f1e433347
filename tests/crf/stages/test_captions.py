"""Captions that are longer than the text encoder reads are marked, and nothing warns of them."""

import logging
from pathlib import Path

import numpy as np
import pytest

from crf.stages.encode import EncodeImages
from crf.stages.teach import TeachTrajectories
from tests.support.teachers import TINY, save_pipeline

SHORT, LONG = "a cat", "a cat on a very long mat in the sun"  # the tiny teachers' text encoders read 16 tokens
CAPTIONS = np.array([SHORT, LONG, SHORT])


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
def test_marked_and_not_warned_about(family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = str(save_pipeline(TINY[family](), tmp_path))
    loggers = [logging.getLogger(name) for name in ("transformers", "diffusers")]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    try:
        images = np.zeros((3, 32, 32, 3), np.uint8)
        encode, teach = EncodeImages(folder, "cpu", 1), TeachTrajectories(folder, "cpu", 1, 7.5, 32)
        caplog.clear()
        valid = np.ones(3, bool)
        encoded = encode({"caption": CAPTIONS, "valid": valid, "image": images})
        taught = teach({"caption": CAPTIONS, "valid": valid, "seed": np.arange(3, dtype=np.uint64)})
    finally:
        for logger in loggers:
            logger.removeHandler(caplog.handler)
    for computed in (encoded, taught):
        assert computed["truncated"].tolist() == [False, True, False]
    assert not caplog.messages
