"""What a filesystem says of a file before any of its bytes are read: size, version and checksum."""

import base64
import os
import stat
from typing import Any, NamedTuple

import fsspec

from storage import locations
from storage.inputs.rows import RejectedImageError

VERSION_FIELDS = ("generation", "ETag", "etag", "mtime", "LastModified", "last_modified", "Last-Modified", "created")


class FileState(NamedTuple):
    """``version`` differs once the content does, and is empty if the filesystem has none.

    ``checksum`` identifies the content, and is empty if the filesystem does not keep one.
    """

    size: int
    version: str
    checksum: str = ""


def read_local_state(path: str, root: str | None = None) -> FileState:
    """Describe a local file. Raises RejectedImageError unless it is a regular file and, if given, below ``root``.

    ``root``: a folder, with its symbolic links resolved.
    """
    if root is not None and os.path.islink(path) and not os.path.realpath(path).startswith(root.rstrip("/") + "/"):
        raise RejectedImageError("a symbolic link out of the folder")
    try:
        status = os.stat(path)
    except OSError as error:
        raise RejectedImageError(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise RejectedImageError("not a file")
    return FileState(status.st_size, _describe_version(status))


def parse_remote_state(fs: fsspec.AbstractFileSystem, entry: dict[str, Any]) -> FileState:
    """Describe a file by its entry in an fsspec listing."""
    size = entry.get("size") or 0
    stamp = next((entry[field] for field in VERSION_FIELDS if entry.get(field)), None)
    version = "" if stamp is None else "".join(f"{size}-{stamp}".split())
    return FileState(size, version, _parse_checksum(fs, entry))


def read_version(url: str) -> str:
    """The version of a set's file; empty if its filesystem has none."""
    fs, path = fsspec.url_to_fs(url)
    if locations.is_local(fs):
        return _describe_version(os.stat(path))
    return parse_remote_state(fs, fs.info(path)).version


def read_state(fs: fsspec.AbstractFileSystem, path: str) -> FileState:
    """Describe one file of any filesystem. Raises RejectedImageError, or the filesystem's own errors."""
    if locations.is_local(fs):
        return read_local_state(path)
    return parse_remote_state(fs, fs.info(path))


def _describe_version(status: os.stat_result) -> str:
    """With the change time, as a file may be replaced by another of the same size and modification time."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _parse_checksum(fs: fsspec.AbstractFileSystem, entry: dict[str, Any]) -> str:
    """GCS keeps an MD5, or for composite objects only a CRC-32C; the ETag of S3 changes with the content."""
    for field, algorithm in (("md5Hash", "md5"), ("crc32c", "crc32c")):
        if entry.get(field):
            return f"{algorithm}:{base64.b64decode(entry[field]).hex()}"
    if "s3" in locations.protocols(fs) and entry.get("ETag"):
        return f"etag:{entry['ETag'].strip(chr(34))}"
    return ""
