import io

import numpy as np
import pytest
from PIL import Image

from flows.report.artifacts import publish, shrink_picture


def test_a_picture_is_halved_until_it_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    shrunk = shrink_picture(out.getvalue(), largest=2_000)
    assert len(shrunk) <= 2_000
    with Image.open(io.BytesIO(shrunk)) as picture:
        assert picture.size == (24, 16)
    assert shrink_picture(shrunk, largest=2_000) == shrunk


def test_a_server_that_does_not_take_an_artifact_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(text: str, key: str) -> None:
        raise ConnectionError("the server is away")

    publish(refuse, "text", key="evaluation-report")
    assert "evaluation-report is not in the Prefect UI: ConnectionError('the server is away')" in caplog.text
