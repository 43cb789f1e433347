"""Encoded images that are files of their own, or lie at a place in a tar; and which local files are none."""

import os
import re
import stat

import fsspec

from storage import locations

MAX_BYTES = 1 << 28
"""An encoded image of more is refused unread."""
PIECE = 1 << 20
TAR_PLACE = re.compile(r"(?<=\.tar)#(\d+):(\d+)$")


class UnreadableError(Exception):
    """There is no image to read; the message is the reason that the index will give."""


def read_image(uri: str) -> bytes:
    """The encoded bytes of ``{file}.tar#{offset}:{size}``, or of a whole file."""
    place = TAR_PLACE.search(uri)
    if not place:
        return locations.read_bytes(uri)
    fs, path = fsspec.url_to_fs(uri[: place.start()])
    return bytes(fs.read_block(path, *map(int, place.groups())))


def read_checked(uri: str) -> bytes:
    """The same of a URI that came with a set; raises UnreadableError, and nothing else."""
    try:
        place = TAR_PLACE.search(uri)
        fs, path = fsspec.url_to_fs(uri[: place.start()] if place else uri)
        if "file" in locations.protocols(fs):
            check_regular(path)
        if place and int(place[2]) > MAX_BYTES:
            raise UnreadableError(too_large(int(place[2])))
        if place:
            return read_image(uri)
        data = _read_up_to(fs, path, MAX_BYTES + 1)
    except UnreadableError:
        raise
    except Exception as error:  # each filesystem has its own
        raise UnreadableError(f"cannot be read: {type(error).__name__}") from None
    if len(data) > MAX_BYTES:
        raise UnreadableError(too_large(len(data)))
    return data


def _read_up_to(fs: fsspec.AbstractFileSystem, path: str, size: int) -> bytes:
    """A web server may not say how long a file is, may never end it, and gives it in pieces."""
    data = bytearray()
    with fs.open(path, "rb") as file:
        while len(data) < size and (piece := file.read(min(PIECE, size - len(data)))):
            data += piece
    return bytes(data)


def too_large(size: int) -> str:
    return f"too large: {size} bytes, at most {MAX_BYTES}"


def check_regular(path: str, root: str | None = None) -> int:
    """Size of a local file; UnreadableError for what is none, such as a pipe, or is not below ``root``.

    ``root``: with its symbolic links resolved.
    """
    if root is not None and os.path.islink(path) and not os.path.realpath(path).startswith(root.rstrip("/") + "/"):
        raise UnreadableError("a symbolic link out of the folder")
    try:
        status = os.stat(path)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("not a file")
    return status.st_size
