import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from storage.inputs.pixels import decode_image
from storage.inputs.rows import RejectedImageError
from tests.support.pictures import chunk, encoded, matrix_profile, noise, png


def test_the_middle_square_is_scaled() -> None:
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (10, 0, 30, 20))
    assert (decode_image(encoded(wide), 8) == (0, 0, 255)).all()


LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}


def oriented(form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(noise(), form, exif=exif, **LOSSLESS.get(form, {}))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_upright_by_exif(form: str) -> None:
    """As the EXIF standard words it: which side of the scene the first row and the first column are."""
    stored = decode_image(oriented(form, 1), 16)
    turned = np.transpose(stored, (1, 0, 2))
    upright = [stored, stored[:, ::-1], stored[::-1, ::-1], stored[::-1]]
    upright += [turned, turned[:, ::-1], turned[::-1, ::-1], turned[::-1]]
    for orientation, expected in enumerate(upright, start=1):
        np.testing.assert_array_equal(decode_image(oriented(form, orientation), 16), expected)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0" + b"\xff" * 60_000, b"Exif\0\0"])
def test_damaged_exif_turns_nothing(exif: bytes) -> None:
    assert (decode_image(encoded(Image.new("RGB", (8, 8), "white"), "JPEG", exif=exif), 8) == 255).all()


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_the_first_frame_of_several(form: str, options: dict[str, object]) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert getattr(image, "n_frames") == 3  # noqa: B009  (a plugin's, which the stubs do not know)
    assert (decode_image(data, 8) == (255, 0, 0)).all()


def whole() -> bytes:
    return encoded(noise(64))


def tiff(entries: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """Little endian; entries of tag, type, count, value."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


def jpeg_of_many_scans() -> bytes:
    data = encoded(Image.new("L", (4000, 4000), 77), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * 1000 + data[-2:]


HUGE_TILE = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1)]
HUGE_TILE += [(322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 8), (325, 4, 1, 100)]
REJECTED = {
    "empty": (b"", "empty"),
    "text": (b"not an image at all", "unknown format"),
    "html": (b"<!DOCTYPE html><html><body>403 Forbidden</body></html>", "unknown format"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "unknown format"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "unknown format"),
    "pdf": (b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\n", "unknown format"),
    "ppm": (b"P6 2 2 255 " + bytes(12), "unknown format"),
    "truncated": (whole()[: len(whole()) // 2], "truncated"),
    "large": (png(9000, 9000), "too large: 9000 x 9000"),
    "larger": (png(11000, 11000), "too large: 11000 x 11000"),
    "bomb": (png(30000, 30000), "too large"),
    "dimensions alone": (png(2**31 - 1, 2**31 - 1), "too large"),
    "webp canvas": (
        b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\xff\xff" * 2 + bytes(20),
        "too large|not a readable image",
    ),
    "gif": (
        b"GIF89a"
        + struct.pack("<HH3B", 65535, 65535, 0x80, 0, 0)
        + bytes(6)
        + struct.pack("<BHHHHBB", 0x2C, 0, 0, 65535, 65535, 0, 2)
        + b"\x02\x4c\x01\0;",
        "too large",
    ),
    "text chunk": (
        png(8, 8, 8, 0, bytes(72), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50 << 20)))),
        "too large",
    ),
    "tile": (tiff(HUGE_TILE), "a tile of 40000 x 40000"),
    "scans": (jpeg_of_many_scans(), "scans of 4000 x 4000"),
}


@pytest.mark.parametrize(("data", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_bad_images_are_rejected_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedImageError, match=reason):
        decode_image(data, 8)


MEASURED = """
import pathlib, sys
sys.path.insert(0, {root!r})
from storage.inputs.pixels import decode_image
from storage.inputs.rows import RejectedImageError
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        decode_image(file.read_bytes(), 8)
    except RejectedImageError:
        pass
    peak = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    assert peak < 1500, (file.name, peak)
"""


def test_memory_is_bounded_whatever_an_image_claims(tmp_path: Path) -> None:
    """In a process of its own, and not by getrusage: a new process starts there with its parent's peak."""
    for name, (data, _) in REJECTED.items():
        (tmp_path / name).write_bytes(data)
    entries = [(tag, 7, 900_000, 8) for tag in range(1000, 61_000)]  # each with the same 900 KB as its value
    exif = b"Exif\0\0" + tiff(entries, bytes(300_000))
    (tmp_path / "exif").write_bytes(png(8, 8, 8, 0, bytes(72), chunk(b"eXIf", exif[6:])))
    (tmp_path / "tiff").write_bytes(tiff(entries, bytes(300_000)))
    (tmp_path / "zeros").write_bytes(png(1, 1, 8, 0, bytes(200 << 20)))
    (tmp_path / "largest").write_bytes(png(8000, 8000, 1, 0, bytes(8000 * 1001)))
    gif = encoded(noise(), "GIF")
    (tmp_path / "frames").write_bytes(gif[:-1] + gif[gif.index(b",", 13 + 768) : -1] * 20_000 + b";")
    code = MEASURED.format(root=str(Path(__file__).parents[3]))
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


PRIMARIES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
SAMPLES = [
    encoded(noise(), "PNG", icc_profile=matrix_profile(PRIMARIES, 2.0), exif=oriented("PNG", 6)[-60:]),
    oriented("JPEG", 6),
    encoded(noise().convert("CMYK"), "JPEG", progressive=True),
    encoded(noise(), "WEBP"),
    encoded(noise(), "GIF", save_all=True, append_images=[noise(16, 1)]),
    encoded(noise().convert("P"), "BMP"),
    *(encoded(noise(), "TIFF", compression=name) for name in ("raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate")),
]
OVERWRITES = st.lists(st.tuples(st.integers(0, 1000), st.binary(min_size=1, max_size=8)), max_size=5)


def pixels_or_a_reason(data: bytes) -> None:
    reason = ""
    try:
        pixels = decode_image(data, 8)
        assert pixels.shape == (8, 8, 3)
        assert pixels.dtype == np.uint8
    except RejectedImageError as error:
        reason = str(error)
    assert reason.isprintable()
    assert len(reason) < 300


@hypothesis_settings(max_examples=100)
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", *(sample[:20] for sample in SAMPLES)]))
def test_any_bytes_give_pixels_or_a_reason(data: bytes, start: bytes) -> None:
    pixels_or_a_reason(start + data)


@hypothesis_settings(max_examples=200)
@given(sample=st.sampled_from(SAMPLES), overwrites=OVERWRITES, kept=st.floats(0, 1) | st.just(1.0))
def test_a_damaged_image_gives_pixels_or_a_reason(
    sample: bytes, overwrites: list[tuple[int, bytes]], kept: float
) -> None:
    data = bytearray(sample)
    for place, values in overwrites:
        data[place % len(sample) : place % len(sample) + len(values)] = values
    pixels_or_a_reason(bytes(data[: int(kept * len(data))]))
