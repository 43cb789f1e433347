"""Decode an image, however hostile its bytes, to pixels or a reason for its rejection."""

import io
import re
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.inputs.colours import convert_to_srgb
from storage.inputs.rows import RejectedImageError, replace_surrogates

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are decoded, whatever the file's name. Some other formats of Pillow's start programs."""
MAX_PIXELS = 64_000_000
MAX_SCANNED = 32 * MAX_PIXELS
"""Pixels of a JPEG times its scans: each scan passes over all pixels."""
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
REASON_LENGTH = 200


def decode_image(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Decode an image's first frame: turn it upright, crop its central square, convert it to sRGB on white, resize it.

    Returns uint8 (size, size, 3). Raises RejectedImageError or MemoryError, and nothing else, for any bytes.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise RejectedImageError("empty: 0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about harmless damage, and about sizes, which _check limits
            return _decode(data, size)
    except (RejectedImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise RejectedImageError(f"unknown format: none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        raise RejectedImageError(f"too large: {error}") from None
    except Exception as error:  # hostile bytes may raise anything in a decoder
        raise RejectedImageError(f"not a readable image: {_one_line(error)}") from None


def _decode(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check(image, data)
        image.load()
        upright = _turn_upright(image)
        side = min(upright.size)
        left, top = (upright.width - side) // 2, (upright.height - side) // 2
        square = convert_to_srgb(upright.crop((left, top, left + side, top + side)), image.info.get("icc_profile"))
        return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def _check(image: Any, data: bytes) -> None:
    """Reject an image that would take too long or too much memory, before a pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise RejectedImageError(f"too large: {width} x {height}, at most {MAX_PIXELS} pixels")
    if image.format in ("JPEG", "MPO") and width * height * (scans := _count_scans(data)) > MAX_SCANNED:
        raise RejectedImageError(f"too large: {scans} scans of {width} x {height} pixels")
    if image.format == "TIFF":
        _check_tiff(image.tag_v2)


def _count_scans(jpeg: bytes) -> int:
    """Count the scans of a JPEG file's first image: the start-of-scan markers outside of segments with a length."""
    place, scans = 2, 0
    while marker := JPEG_MARKER.search(jpeg, place):
        kind = jpeg[marker.start() + 1]
        if kind == 0xD9:
            break
        scans += kind == 0xDA
        place = marker.end() + (int.from_bytes(jpeg[marker.end() : marker.end() + 2]) if kind not in (1, 0xD8) else 0)
    return scans


def _check_tiff(tags: Any) -> None:
    """Reject too large tiles, which are decoded whole, and the kinds of grey that Pillow misreads."""
    width, length, bits, white = (
        tags.get(tag, default) for tag, default in ((322, 0), (323, 0), (258, (1,)), (262, 1))
    )
    if width * length > MAX_PIXELS:
        raise RejectedImageError(f"too large: a tile of {width} x {length}, at most {MAX_PIXELS} pixels")
    if bits == (12,) or (bits == (16,) and white == 0):
        raise RejectedImageError("grey of 12 bits, or of 16 bits with 0 as white")


def _turn_upright(image: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF is ignored
        return image


def _one_line(error: Exception) -> str:
    """Format an error in one line of printable characters."""
    text = " ".join(replace_surrogates(str(error)).split()) or type(error).__name__
    return "".join(letter for letter in text if letter.isprintable())[:REASON_LENGTH]
