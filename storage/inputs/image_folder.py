"""A folder of images: captions in ``NAME.txt`` beside ``NAME.png``, else the file's name. Rows by path."""

import hashlib
import os
import posixpath
from collections.abc import Iterator

import fsspec

from storage import locations
from storage.inputs.image_files import MAX_BYTES, UnreadableError, check_regular, too_large
from storage.inputs.rows import MAX_CAPTION, Row, add_caption, add_caption_file, refused, replace_surrogates

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def scan_folder(url: str) -> Iterator[Row]:
    fs, root = fsspec.url_to_fs(url)
    local = "file" in locations.protocols(fs)
    sizes = _local_files(root) if local else _remote_files(fs, root)
    real_root = os.path.realpath(root) if local else None
    for path in sorted(path for path in sizes if path.lower().endswith(SUFFIXES) or sizes[path] is None):
        uri = path if local else fs.unstrip_protocol(path)
        row = {"id": replace_surrogates(posixpath.relpath(path, root)), "caption": "", "uri": uri}
        try:
            yield _row(fs, path, row, sizes, real_root)
        except UnreadableError as error:
            yield refused(row, str(error))


def _local_files(root: str) -> dict[str, int | None]:
    """Paths and sizes; no size for a link to a folder, which is not followed: it may lead anywhere, or back."""
    found: dict[str, int | None] = {}
    for folder, folders, names in os.walk(root):
        found |= {posixpath.join(folder, name): 0 for name in names}
        found |= {path: None for name in folders if os.path.islink(path := posixpath.join(folder, name))}
    return found


def _remote_files(fs: fsspec.AbstractFileSystem, root: str) -> dict[str, int | None]:
    return {path: entry.get("size") or 0 for path, entry in fs.find(root, detail=True).items()}


def _row(
    fs: fsspec.AbstractFileSystem, path: str, row: Row, sizes: dict[str, int | None], real_root: str | None
) -> Row:
    if sizes[path] is None:
        raise UnreadableError("a symbolic link to a folder")
    if replace_surrogates(path) != path:
        raise UnreadableError("a file name that is not UTF-8")
    size = _size(path, sizes, real_root)
    if size > MAX_BYTES:
        raise UnreadableError(too_large(size))
    row = {**row, "sha256": hashlib.sha256(fs.cat_file(path)).hexdigest()}
    stem = posixpath.splitext(path)[0]
    if f"{stem}.txt" not in sizes:
        return add_caption(row, posixpath.basename(stem))
    size = _size(f"{stem}.txt", sizes, real_root)
    if size > 8 * MAX_CAPTION:
        return refused(row, f"too long a caption: {size} bytes, at most {MAX_CAPTION} characters")
    return add_caption_file(row, fs.cat_file(f"{stem}.txt"))


def _size(path: str, sizes: dict[str, int | None], real_root: str | None) -> int:
    """In bytes, of a file that may be read."""
    return sizes[path] or 0 if real_root is None else check_regular(path, real_root)
