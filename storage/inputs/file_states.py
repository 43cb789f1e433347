"""Size, version and checksum of a file, as its filesystem reports them without reading the file."""

import base64
import os
import stat
from typing import Any, NamedTuple

import fsspec

from storage import locations
from storage.inputs.rows import RejectedImageError

VERSION_FIELDS = ("generation", "ETag", "etag", "mtime", "LastModified", "last_modified", "Last-Modified", "created")


class FileState(NamedTuple):
    """A file's size in bytes, version and checksum.

    ``version`` changes if the content does; empty if the filesystem has none. ``checksum`` identifies the content;
    empty if the filesystem keeps none.
    """

    size: int
    version: str
    checksum: str = ""


def read_local_state(path: str, root: str | None = None) -> FileState:
    """Read the state of a local file.

    ``root``: a folder with its symbolic links resolved, which the file must be in. Raises RejectedImageError if it is
    not in it, or is not a regular file.
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
    """Parse the state of a file from its entry in an fsspec listing."""
    size = entry.get("size") or 0
    stamp = next((entry[field] for field in VERSION_FIELDS if entry.get(field)), None)
    version = "" if stamp is None else "".join(f"{size}-{stamp}".split())
    return FileState(size, version, _parse_checksum(fs, entry))


def read_version(url: str) -> str:
    """Read the version of a file; empty if its filesystem has none."""
    fs, path = fsspec.url_to_fs(url)
    if locations.is_local(fs):
        return _describe_version(os.stat(path))
    return parse_remote_state(fs, fs.info(path)).version


def read_state(fs: fsspec.AbstractFileSystem, path: str) -> FileState:
    """Read the state of a file on any filesystem. Raises RejectedImageError, or the filesystem's own errors."""
    if locations.is_local(fs):
        return read_local_state(path)
    return parse_remote_state(fs, fs.info(path))


def _describe_version(status: os.stat_result) -> str:
    """Include the change time: a file may be replaced by another of equal size and modification time."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _parse_checksum(fs: fsspec.AbstractFileSystem, entry: dict[str, Any]) -> str:
    """Parse the checksum: GCS keeps an MD5, or only a CRC-32C for composite objects; S3 keeps an ETag."""
    for field, algorithm in (("md5Hash", "md5"), ("crc32c", "crc32c")):
        if entry.get(field):
            return f"{algorithm}:{base64.b64decode(entry[field]).hex()}"
    if "s3" in locations.list_protocols(fs) and entry.get("ETag"):
        return f"etag:{entry['ETag'].strip(chr(34))}"
    return ""
