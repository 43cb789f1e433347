import io

import numpy as np
import pytest
from PIL import Image

from storage.pixels import RejectedImageError, decode_image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_the_middle_square_is_scaled() -> None:
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (10, 0, 30, 20))
    assert (decode_image(encoded(wide), 8) == (0, 0, 255)).all()


def test_transparent_is_white() -> None:
    assert (decode_image(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), 8) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    assert (decode_image(encoded(image, "TIFF"), 8) > 250).all()


def test_upright_by_exif() -> None:
    image = Image.new("RGB", (8, 8), "white")
    image.paste("black", (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = decode_image(encoded(image, "PNG", exif=exif), 8)
    assert (pixels[:4] == 255).all()
    assert (pixels[4:] == 0).all()


def whole() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all", "unknown format"),
        (whole()[: len(whole()) // 2], "truncated"),
        (encoded(Image.new("1", (9000, 9000))), "too large: 9000 x 9000"),
        (encoded(Image.new("1", (30000, 30000))), "too large"),
    ],
    ids=["empty", "text", "truncated", "large", "bomb"],
)
def test_bad_images_are_rejected_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedImageError, match=reason):
        decode_image(data, 8)
