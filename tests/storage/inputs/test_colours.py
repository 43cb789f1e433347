"""Every kind of pixels against an oracle: exact where there is one."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from storage.inputs.pixels import decode_image
from storage.inputs.rows import RejectedImageError
from tests.support.pictures import chunk, encoded, ink_profile, matrix_profile, noise, png

SIDE = 16
# Adobe RGB (1998) and sRGB, adapted to D50, as their profiles have them.
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def decoded(data: bytes) -> np.ndarray:
    """At its own size, where scaling changes nothing."""
    return decode_image(data, SIDE).astype(int)


def linear(levels: np.ndarray) -> np.ndarray:
    """sRGB's transfer function (IEC 61966-2-1)."""
    values = levels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def test_a_profiles_colours_become_srgb() -> None:
    truth = 64 + np.round(np.asarray(noise()) * 0.75)  # darker, one step of Adobe RGB is several of sRGB
    in_adobe = linear(truth) @ np.array(SRGB) @ np.linalg.inv(np.array(ADOBE))
    stored = np.round(255 * in_adobe.clip(0, 1) ** (1 / (563 / 256))).astype(np.uint8)
    profile = matrix_profile(ADOBE, 563 / 256)
    for form in ("PNG", "TIFF"):
        pixels = decoded(encoded(Image.fromarray(stored), form, icc_profile=profile))
        assert np.abs(pixels - truth).max() <= 2
        assert np.abs(stored - truth).max() > 20
    webp = decoded(encoded(Image.fromarray(stored), "WEBP", lossless=True, icc_profile=profile))
    np.testing.assert_array_equal(webp, pixels)


def test_swapped_primaries_swap_the_channels() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tXYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tXYZ", b"bXYZ", 1)
    pixels = decoded(encoded(noise(), icc_profile=swapped))
    assert np.abs(pixels - np.asarray(noise())[..., ::-1]).max() <= 2


def test_srgbs_own_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decoded(encoded(noise(), icc_profile=profile)), np.asarray(noise()))


def test_ink_by_its_profile() -> None:
    """Cyan that its profile calls a grey of L* 50, which is 119 in sRGB, and not Pillow's cyan."""
    image = Image.new("CMYK", (SIDE, SIDE), (255, 0, 0, 0))
    for form in ("TIFF", "JPEG"):
        pixels = decoded(encoded(image, form, icc_profile=ink_profile(50)))
        assert np.abs(pixels - 119).max() <= 2
        assert (decoded(encoded(image, form))[..., 0] <= 2).all()


def test_transparent_with_a_profile() -> None:
    image = noise().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    profile = matrix_profile(SRGB, 1.0)
    opaque = decoded(encoded(image.convert("RGB"), icc_profile=profile))
    alpha = np.asarray(image)[..., 3:] / 255
    assert np.abs(decoded(encoded(image, icc_profile=profile)) - (alpha * opaque + (1 - alpha) * 255)).max() <= 1


@pytest.mark.parametrize(
    "profile",
    [b"no profile", ink_profile(50), matrix_profile(SRGB, 1.0)[:200], b"\0" * 4096, b""],
    ids=["text", "of other colours", "truncated", "zeros", "empty"],
)
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    np.testing.assert_array_equal(decoded(encoded(noise(), icc_profile=profile)), np.asarray(noise()))


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "P", "RGB"])
def test_kinds_that_pillow_converts(mode: str) -> None:
    image = noise().convert(mode)
    expected = np.asarray(image.convert("RGB"))
    for form in ("TIFF", *([] if mode == "CMYK" else ["PNG", "BMP"])):
        np.testing.assert_array_equal(decoded(encoded(image, form)), expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_over_white(mode: str) -> None:
    image = noise().convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    values = np.asarray(image.convert("RGBA")).astype(float)
    alpha = values[..., 3:] / 255
    for form in ("PNG", "TIFF"):
        assert np.abs(decoded(encoded(image, form)) - (alpha * values[..., :3] + (1 - alpha) * 255)).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_clear_colour_of_a_palette_is_white(form: str) -> None:
    image = Image.new("P", (SIDE, SIDE), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, SIDE, SIDE // 2))
    pixels = decoded(encoded(image, form, transparency=0))
    assert (pixels[: SIDE // 2] == 255).all()
    assert (pixels[SIDE // 2 :] == (0, 0, 255)).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_levels(form: str) -> None:
    values = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    pixels = decoded(encoded(Image.fromarray(values), form))
    np.testing.assert_array_equal(pixels[..., 0], np.round(values / 257))
    assert (pixels == pixels[..., :1]).all()


def test_grey_of_16_bits_with_a_clear_level() -> None:
    lines = b"".join(b"\0" + struct_line for struct_line in [b"\x40\x00\x80\x00" * (SIDE // 2)] * SIDE)
    pixels = decoded(png(SIDE, SIDE, 16, 0, lines, chunk(b"tRNS", b"\x40\x00")))
    assert (pixels[:, 0::2] == 255).all()
    assert (pixels[:, 1::2] == 128).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_rejected(mode: str) -> None:
    with pytest.raises(RejectedImageError, match=f"mode {mode}"):
        decode_image(encoded(Image.new(mode, (8, 8), 7), "TIFF"), 8)
