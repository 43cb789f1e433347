"""From an encoded image, however hostile, to pixels or to a reason why not."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_PIXELS = 64_000_000


class RejectedImageError(Exception):
    """The image cannot be used; the message is the reason that the index will give."""


def decode_image(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Decode, turn upright, put on white, cut the middle square, scale -> (size, size, 3) uint8."""
    from PIL import Image, ImageOps

    if not data:
        raise RejectedImageError("empty: 0 bytes")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise RejectedImageError(f"too large: {width} x {height}, at most {MAX_PIXELS} pixels")
            upright = _on_white(ImageOps.exif_transpose(image))
            side = min(upright.size)
            left, top = (upright.width - side) // 2, (upright.height - side) // 2
            square = upright.crop((left, top, left + side, top + side))
            square = square.resize((size, size), Image.Resampling.LANCZOS)
    except RejectedImageError:
        raise
    except Image.DecompressionBombError as error:
        raise RejectedImageError(f"too large: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise RejectedImageError(f"not a readable image: {_one_line(error)}") from None
    return np.asarray(square)


def _on_white(image: Any) -> Any:
    from PIL import Image

    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _one_line(error: Exception) -> str:
    """Without the memory address that Pillow prints, so that a re-run gives the same bytes."""
    text = " ".join(str(error).split())
    return "unknown format" if "cannot identify" in text else text
