"""Convert pixels of every mode that Pillow knows to 8-bit sRGB on white."""

import functools
import io
from typing import Any

import numpy as np

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB")
MAX_PROFILE = 8 << 20  # bytes; real profiles are smaller


def convert_to_srgb(image: Any, profile: bytes | None) -> Any:
    """Convert an image to sRGB on white. Raises ValueError if its mode does not define the range of its pixels.

    ``profile``: the image's ICC profile; ignored if it is damaged or does not match the mode.
    """
    from PIL import Image

    image = _reduce_to_eight_bits(image)
    if image.mode not in MODES:
        raise ValueError(f"pixels of mode {image.mode}, which have no range of their own")
    if not image.has_transparency_data:
        return _apply_profile(image, profile)
    rgba = image.convert("RGBA")
    grey = image.mode in ("1", "L", "LA")
    colours = _apply_profile(rgba.getchannel("R") if grey else rgba.convert("RGB"), profile)
    colours.putalpha(rgba.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), colours).convert("RGB")


def _reduce_to_eight_bits(image: Any) -> Any:
    """Round 16-bit grey to the nearest of 256 levels. Pillow would clip it instead."""
    from PIL import Image

    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _apply_profile(image: Any, profile: bytes | None) -> Any:
    from PIL import ImageCms

    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    known = profile if profile and len(profile) <= MAX_PROFILE else None
    transform = _build_transform(known, image.mode) if known else None
    return ImageCms.applyTransform(image, transform) if transform else image.convert("RGB")


@functools.lru_cache(maxsize=8)  # the images of a set mostly share a few profiles
def _build_transform(profile: bytes, mode: str) -> Any:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
