"""Read encoded images that are files, or members of a tar file."""

import hashlib
import re

import fsspec

from storage import locations
from storage.inputs.file_states import FileState, read_local_state, read_state
from storage.inputs.rows import RejectedImageError

MAX_BYTES = 1 << 28
"""Largest encoded image to read; a larger one is rejected."""
PIECE = 1 << 20
TAR_PLACE = re.compile(r"(?<=\.tar)#(\d+):(\d+)$")
SHA256 = "sha256:"


def hash_content(data: bytes) -> str:
    """Compute the checksum of an image: "sha256:" and the hex digits."""
    return SHA256 + hashlib.sha256(data).hexdigest()


def check_size(size: int) -> None:
    """Raise RejectedImageError if an encoded image has too many bytes."""
    if size > MAX_BYTES:
        raise RejectedImageError(f"too large: {size} bytes, at most {MAX_BYTES}")


def read_image(uri: str) -> bytes:
    """Read the encoded bytes of the file at ``uri``, or of a tar's member at ``{file}.tar#{offset}:{size}``."""
    place = TAR_PLACE.search(uri)
    if not place:
        return locations.read_bytes(uri)
    fs, path = fsspec.url_to_fs(uri[: place.start()])
    return bytes(fs.read_block(path, *map(int, place.groups())))


def read_named_state(uri: str) -> FileState:
    """Read the state of an image that a set names by its URI. Its version is empty if the state cannot be read.

    Raises RejectedImageError if it is a local file that must not be opened, such as a pipe.
    """
    place = TAR_PLACE.search(uri)
    try:
        state = read_state(*fsspec.url_to_fs(uri[: place.start()] if place else uri))
    except RejectedImageError:
        raise
    except Exception:  # each filesystem raises its own; reading the file gives the reason
        return FileState(0, "")
    return FileState(int(place[2]), state.version) if place else state


def read_named_image(uri: str) -> bytes:
    """Read an image that a set names by its URI. Raises RejectedImageError whatever goes wrong."""
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
    except Exception as error:  # each filesystem raises its own errors
        raise RejectedImageError(f"cannot be read: {type(error).__name__}") from None
    return data


def _read_up_to(fs: fsspec.AbstractFileSystem, path: str, size: int) -> bytes:
    """Read at most ``size`` bytes, in pieces: a web server may send a file without an end."""
    data = bytearray()
    with fs.open(path, "rb") as file:
        while len(data) < size and (piece := file.read(min(PIECE, size - len(data)))):
            data += piece
    return bytes(data)
