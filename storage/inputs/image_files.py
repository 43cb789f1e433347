"""Encoded images that are files of their own, or members of a tar."""

import hashlib
import re

import fsspec

from storage import locations
from storage.inputs.file_states import FileState, read_local_state, read_state
from storage.inputs.rows import RejectedImageError

MAX_BYTES = 1 << 28
"""A larger encoded image is rejected without being read."""
PIECE = 1 << 20
TAR_PLACE = re.compile(r"(?<=\.tar)#(\d+):(\d+)$")
SHA256 = "sha256:"


def hash_content(data: bytes) -> str:
    """The checksum of an image that had to be read."""
    return SHA256 + hashlib.sha256(data).hexdigest()


def check_size(size: int) -> None:
    """Raise RejectedImageError if an encoded image has too many bytes."""
    if size > MAX_BYTES:
        raise RejectedImageError(f"too large: {size} bytes, at most {MAX_BYTES}")


def read_image(uri: str) -> bytes:
    """Read the encoded bytes of ``{file}.tar#{offset}:{size}``, or of a whole file."""
    place = TAR_PLACE.search(uri)
    if not place:
        return locations.read_bytes(uri)
    fs, path = fsspec.url_to_fs(uri[: place.start()])
    return bytes(fs.read_block(path, *map(int, place.groups())))


def read_named_state(uri: str) -> FileState:
    """Describe the file that a set names by its URI. Its version is empty if the file cannot be described.

    Raises RejectedImageError if it is a local file that must not be opened, such as a pipe.
    """
    place = TAR_PLACE.search(uri)
    try:
        state = read_state(*fsspec.url_to_fs(uri[: place.start()] if place else uri))
    except RejectedImageError:
        raise
    except Exception:  # each filesystem raises its own; reading the file says more
        return FileState(0, "")
    return FileState(int(place[2]), state.version) if place else state


def read_named_image(uri: str) -> bytes:
    """Read an image that a set names by its URI. Raises RejectedImageError, and no other error."""
    try:
        place = TAR_PLACE.search(uri)
        fs, path = fsspec.url_to_fs(uri[: place.start()] if place else uri)
        if locations.is_local(fs):
            read_local_state(path)
        if place:
            check_size(int(place[2]))
            return read_image(uri)
        data = _read_up_to(fs, path, MAX_BYTES + 1)
        check_size(len(data))
    except RejectedImageError:
        raise
    except Exception as error:  # each filesystem raises its own
        raise RejectedImageError(f"cannot be read: {type(error).__name__}") from None
    return data


def _read_up_to(fs: fsspec.AbstractFileSystem, path: str, size: int) -> bytes:
    """Read in pieces: a web server may not say how long a file is, and may never end it."""
    data = bytearray()
    with fs.open(path, "rb") as file:
        while len(data) < size and (piece := file.read(min(PIECE, size - len(data)))):
            data += piece
    return bytes(data)
