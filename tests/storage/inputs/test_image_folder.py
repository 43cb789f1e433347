"""What lies in a folder that is no image, or leads out of it."""

import os
from pathlib import Path

from storage.inputs.images import read_images, scan_images
from storage.inputs.pixels import decode_image
from storage.inputs.rows import MAX_CAPTION
from tests.support.pictures import encoded, noise, plain


def scanned(folder: Path) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["caption"], row["reason"]) for row in scan_images(str(folder))}


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "set"
    (outside / "more").mkdir(parents=True)
    (outside / "secret.png").write_bytes(plain())
    (outside / "secret.txt").write_text("a password")
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(plain())
    (folder / "b.png").write_bytes(plain())
    (folder / "a.txt").symlink_to(outside / "secret.txt")
    (folder / "inside.png").symlink_to("b.png")
    (folder / "out.png").symlink_to(outside / "secret.png")
    (folder / "relative.png").symlink_to("../outside/secret.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "self.png").symlink_to("self.png")
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "elsewhere").symlink_to(outside)
    out = ("", "a symbolic link out of the folder")
    rows = scanned(folder)
    assert rows == {
        "a.png": out,
        "b.png": ("b", ""),
        "elsewhere": ("", "a symbolic link to a folder"),
        "gone.png": ("", "cannot be read: No such file or directory"),
        "inside.png": ("inside", ""),
        "out.png": out,
        "relative.png": out,
        "self.png": ("", "cannot be read: Too many levels of symbolic links"),
        "sub/loop": ("", "a symbolic link to a folder"),
    }
    linked = tmp_path / "linked"
    linked.symlink_to(folder)  # the set itself may be a link
    assert scanned(linked) == rows


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # whoever opens it waits for ever
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "zero.png").write_bytes(b"")
    assert scanned(tmp_path) == {"pipe.png": ("", "not a file"), "zero.png": ("zero", "")}


def test_a_huge_file_is_rejected_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(1 << 40)
    assert scanned(tmp_path)["huge.png"][1] == f"too large: {1 << 40} bytes, at most {1 << 28}"


def test_captions_that_cannot_be_used(tmp_path: Path) -> None:
    captions = {
        "bad": b"caf\xe9",
        "empty": b"",
        "hostile": "\ufeff \u202eright to left\x00\x1b[31m \U0001f600 ქართული\n".encode(),
        "long": b"x" * (MAX_CAPTION + 1),
        "longer": b"x" * 1_000_000,
        "widest": "😀".encode() * MAX_CAPTION,
    }
    for name, caption in captions.items():
        (tmp_path / f"{name}.png").write_bytes(plain())
        (tmp_path / f"{name}.txt").write_bytes(caption)
    found = scanned(tmp_path)
    assert found["bad.png"] == ("", "a caption that is not UTF-8: unexpected end of data at byte 3")
    assert found["empty.png"] == ("", "")
    assert found["hostile.png"] == ("\u202eright to left\x00\x1b[31m \U0001f600 ქართული", "")
    assert found["long.png"][1] == f"too long a caption: {MAX_CAPTION + 1} characters, at most {MAX_CAPTION}"
    assert "too " in str(found["longer.png"][1])
    assert found["widest.png"] == ("😀" * MAX_CAPTION, "")


def test_names_that_no_index_can_hold(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        file.write(plain())
    (tmp_path / "日本\n語.png").write_bytes(plain())
    assert scanned(tmp_path) == {
        "caf\ufffd.png": ("", "a file name that is not UTF-8"),
        "日本\n語.png": ("日本\n語", ""),
    }


def test_the_content_counts_not_the_name(tmp_path: Path) -> None:
    for name, form in (("png.jpg", "PNG"), ("webp.png", "WEBP"), ("bmp.gif", "BMP")):
        (tmp_path / name).write_bytes(encoded(noise(), form, **({"lossless": True} if form == "WEBP" else {})))
    images = [decode_image(data, 16) for data in read_images([row["uri"] for row in scan_images(str(tmp_path))])]
    assert [(image == noise()).all() for image in images] == [True, True, True]
