"""A folder of images. The caption is in ``NAME.txt`` beside ``NAME.png``, or else is the file's name."""

import os
import posixpath
from collections.abc import Iterator

import fsspec

from storage import locations
from storage.inputs.file_states import FileState, parse_remote_state, read_local_state
from storage.inputs.image_files import check_size, hash_content
from storage.inputs.known_rows import KnownRows
from storage.inputs.rows import (
    MAX_CAPTION,
    RejectedImageError,
    Row,
    add_caption,
    add_caption_file,
    new_row,
    reject,
    replace_surrogates,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_CAPTION_FILE = 8 * MAX_CAPTION


def scan_folder(url: str, known: KnownRows) -> Iterator[Row]:
    """Yield one row per image, by path. A row is known if neither its image nor its caption file has changed."""
    fs, root = fsspec.url_to_fs(url)
    folder = _Folder(fs, root)
    paths = folder.list_images()
    known.total = len(paths)
    for path in paths:
        name = replace_surrogates(path)
        row = new_row(posixpath.relpath(name, root), name if folder.local else fs.unstrip_protocol(name))
        old = known.take_uri(row["uri"])
        try:
            if name != path:
                raise RejectedImageError("a file name that is not UTF-8")
            yield _scan_image(folder, path, row, old)
        except RejectedImageError as error:
            yield reject({**row, "version": ""}, str(error))


class _Folder:
    """The files of a folder. The states of local files are read on request, those of remote files from the listing."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self.fs, self.local = fs, locations.is_local(fs)
        if self.local:
            self._real_root = os.path.realpath(root)
            self._paths, self._links = _walk(root)
        else:
            self._states = {path: parse_remote_state(fs, entry) for path, entry in fs.find(root, detail=True).items()}
            self._paths, self._links = set(self._states), set()

    def list_images(self) -> list[str]:
        """List the paths of images, and of links to folders, in the order of the set's rows."""
        images = (path for path in self._paths if path.lower().endswith(SUFFIXES))
        return sorted([*images, *self._links], key=replace_surrogates)

    def read_state(self, path: str) -> FileState:
        """Read the state of a file. Raises RejectedImageError if the file must not be read."""
        if path in self._links:
            raise RejectedImageError("a symbolic link to a folder")
        return read_local_state(path, self._real_root) if self.local else self._states[path]

    def __contains__(self, path: str) -> bool:
        return path in self._paths


def _walk(root: str) -> tuple[set[str], set[str]]:
    """List the files and the links to folders. Links are not followed: they may lead anywhere, or back."""
    files, links = set[str](), set[str]()
    for folder, folders, names in os.walk(root):
        files |= {posixpath.join(folder, name) for name in names}
        links |= {path for name in folders if os.path.islink(path := posixpath.join(folder, name))}
    return files, links


def _scan_image(folder: _Folder, path: str, row: Row, old: Row | None) -> Row:
    """Complete the row of one image. What ``old`` knows is not read again."""
    stem = posixpath.splitext(path)[0]
    image = folder.read_state(path)
    check_size(image.size)
    text = folder.read_state(f"{stem}.txt") if f"{stem}.txt" in folder else None
    versions = [image.version] if text is None else [image.version, text.version]
    row = {**row, "version": " ".join(versions) if all(versions) else ""}
    if old and row["version"] and old["version"] == row["version"]:
        return old
    row = _add_caption(folder, stem, row, text)
    if row["reason"]:
        return row
    same = old if old and image.version and old["version"].split(" ")[0] == image.version else None
    checksum = image.checksum or (same and same["checksum"]) or hash_content(folder.fs.cat_file(path))
    return {**row, "checksum": checksum}


def _add_caption(folder: _Folder, stem: str, row: Row, text: FileState | None) -> Row:
    if text is None:
        return add_caption(row, posixpath.basename(stem))
    if text.size > MAX_CAPTION_FILE:
        return reject(row, f"too long a caption: {text.size} bytes, at most {MAX_CAPTION} characters")
    return add_caption_file(row, folder.fs.cat_file(f"{stem}.txt"))
