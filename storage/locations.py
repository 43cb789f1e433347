"""URLs of any fsspec filesystem, and the operations on objects that the stages need.

Every write is one step: readers see the old object or the new one, never a part. If a server or a disk does not
answer, every operation raises EndpointError.
"""

import errno
import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from storage.endpoints import S3_OPTIONS, WRITE_SECONDS, translate_errors

fsspec.register_implementation("gs", "storage.google.GoogleStorage", clobber=True)
fsspec.register_implementation("gcs", "storage.google.GoogleStorage", clobber=True)
fsspec.config.conf["s3"] = {**S3_OPTIONS, **fsspec.config.conf.get("s3", {})}  # the user's options come first


def find_local_path(url: str) -> str | None:
    """Return the absolute path of a local file; None if the URL is of another filesystem."""
    fs, path = fsspec.url_to_fs(url)
    return str(path) if is_local(fs) else None


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Return whether a filesystem is this machine's own."""
    return "file" in list_protocols(fs)


def make_absolute(url: str) -> str:
    """Make a local path absolute, so that it means the same file in every process. Other URLs stay as they are."""
    path = find_local_path(url)
    return url.rstrip("/") if path is None else path


def list_protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    """Return the schemes of a filesystem's URLs, e.g. ("gs", "gcs")."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def join(url: str, *parts: str) -> str:
    """Append path components to a URL."""
    return posixpath.join(url, *parts)


def get_name(url: str) -> str:
    """Return the last path component of a URL, which is the fingerprint of a stage's output."""
    return posixpath.basename(url.rstrip("/"))


def exists(url: str) -> bool:
    """Return whether there is an object or a folder at a URL."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        return bool(fs.exists(path))


def list_names(url: str) -> list[str]:
    """List the names directly below a folder, sorted; none if there is no such folder."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        if not fs.exists(path):
            return []
        return sorted(posixpath.basename(entry.rstrip("/")) for entry in fs.ls(path, detail=False))


def find(url: str) -> dict[str, int]:
    """Find every object below a folder: path from the folder -> size in bytes, sorted by path."""
    fs, root = fsspec.url_to_fs(url)
    with translate_errors(url):
        found = fs.find(root, detail=True)
    return {posixpath.relpath(path, root): int(entry["size"]) for path, entry in sorted(found.items())}


def read_modified_time(url: str) -> datetime:
    """Read the time at which an object was last written."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        modified: datetime = fs.modified(path)
    return modified


def remove(url: str) -> None:
    """Remove one object. Does nothing if there is none, as after an earlier attempt whose answer was lost."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url), suppress(FileNotFoundError):
        fs.rm_file(path)


def remove_folder(url: str) -> None:
    """Remove a folder and everything below it.

    Safe to call while another process removes the folder or writes into it; what it writes meanwhile may stay.
    """
    fs, folder = fsspec.url_to_fs(url)
    with translate_errors(url), suppress(FileNotFoundError):
        try:
            fs.rm(folder, recursive=True)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise


def read_bytes(url: str) -> bytes:
    """Read one object. Raises FileNotFoundError if there is none."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        return bytes(fs.cat_file(path))


def read_many(urls: list[str]) -> list[bytes]:
    """Read objects of one filesystem, concurrently if the filesystem supports it."""
    if not urls:
        return []
    fs, _ = fsspec.url_to_fs(urls[0])
    with translate_errors(urls[0]):
        return list(fs.cat_ranges([fsspec.url_to_fs(url)[1] for url in urls], None, None, on_error="raise"))


@contextmanager
def open_local_copy(url: str) -> Iterator[str]:
    """Provide an object as a local file: the object itself if it is local, otherwise a temporary copy."""
    fs, path = fsspec.url_to_fs(url)
    if is_local(fs):
        yield path
        return
    with tempfile.NamedTemporaryFile() as file:
        with translate_errors(url):
            if "memory" in list_protocols(fs):  # its readers share one position in the object
                file.write(fs.cat_file(path))
                file.flush()
            else:
                fs.get_file(path, file.name)
        yield file.name


def write_bytes(url: str, data: bytes) -> None:
    """Write one object in one step."""
    write_pieces(url, lambda: [data])


def write_pieces(url: str, pieces: Callable[[], Iterable[bytes | memoryview]]) -> None:
    """Write one object in one step, from pieces. Calls ``pieces`` again for each attempt."""
    fs, path = fsspec.url_to_fs(url)

    def write(beside: str) -> None:
        with open(beside, "wb", buffering=1 << 20) as file:
            file.writelines(pieces())

    with translate_errors(url):
        if is_local(fs):
            _put_in_place(path, write)
        else:
            fs.pipe_file(path, b"".join(pieces()), timeout=WRITE_SECONDS)


def write_file(url: str, file: str, *, new: bool = False) -> None:
    """Copy a local file to an object in one step. With ``new``, does nothing if the object exists."""
    fs, path = fsspec.url_to_fs(url)
    if new and exists(url):
        return
    with translate_errors(url):
        if is_local(fs):
            _put_in_place(path, partial(fs.cp_file, file))
            return
        mode = "create" if new else "overwrite"
        with suppress(*[FileExistsError] if new else []):
            if "memory" in list_protocols(fs):  # put_file would show others an object that grows
                fs.pipe_file(path, Path(file).read_bytes(), mode=mode)
            else:
                fs.put_file(file, path, mode=mode)


def write_new(url: str, data: bytes) -> None:
    """Write one object in one step, unless it exists.

    Of two concurrent writers, the first wins on an object store; on a local disk the last may win.
    """
    fs, path = fsspec.url_to_fs(url)
    if exists(url):
        return
    if is_local(fs):
        write_bytes(url, data)
    else:
        with translate_errors(url), suppress(FileExistsError):
            fs.pipe_file(path, data, mode="create", timeout=WRITE_SECONDS)


def copy(source: str, target: str) -> None:
    """Copy one object within a filesystem in one step: on the server if possible, otherwise through this process."""
    fs, path = fsspec.url_to_fs(target)
    copy_to = partial(fs.cp_file, fsspec.url_to_fs(source)[1])
    try:
        with translate_errors(target):
            if is_local(fs):
                _put_in_place(path, copy_to)
            else:
                copy_to(path)
    except NotImplementedError:
        write_bytes(target, read_bytes(source))


@retry(retry=retry_if_exception_type((FileNotFoundError, FileExistsError)), stop=stop_after_attempt(100), reraise=True)
def _put_in_place(path: str, write: Callable[[str], object]) -> None:
    """Call ``write`` to make a file beside ``path``, then move the file there.

    The file has a unique name, because two processes may write the same object. Another process may remove the file
    or its folder at any moment: sealing removes the files of killed writers, and a training removes the folders of
    old checkpoints. Then the file is written again.
    """
    os.makedirs(posixpath.dirname(path), exist_ok=True)
    beside = f"{path}.{uuid4().hex}.partial"
    write(beside)
    os.replace(beside, path)


def read_json(url: str) -> Any:
    """Read one object as JSON."""
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    """Write one object as JSON, in one step."""
    write_bytes(url, encode_json(value))


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON with sorted keys, so that equal values give equal bytes."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()
