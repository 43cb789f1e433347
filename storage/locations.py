"""URLs of any fsspec filesystem, and the few file operations that the stages need on them."""

import json
import os
import posixpath
from contextlib import suppress
from typing import Any
from uuid import uuid4

import fsspec

from storage.endpoints import S3_OPTIONS, WRITE_SECONDS, answering

fsspec.register_implementation("gs", "storage.google.GoogleStorage", clobber=True)
fsspec.register_implementation("gcs", "storage.google.GoogleStorage", clobber=True)
fsspec.config.conf["s3"] = {**S3_OPTIONS, **fsspec.config.conf.get("s3", {})}  # the user's own come first


def absolute(url: str) -> str:
    """A URL as it is; a local path made absolute, so that every process means the same file."""
    fs, path = fsspec.url_to_fs(url)
    return str(path) if "file" in protocols(fs) else url.rstrip("/")


def protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def join(url: str, *parts: str) -> str:
    return posixpath.join(url, *parts)


def name_of(url: str) -> str:
    """The last part of a URL: for a stage's output, its fingerprint."""
    return posixpath.basename(url.rstrip("/"))


def exists(url: str) -> bool:
    fs, path = fsspec.url_to_fs(url)
    with answering(url):
        return bool(fs.exists(path))


def list_names(url: str) -> list[str]:
    """Names directly below a folder, sorted; none if there is no such folder."""
    fs, path = fsspec.url_to_fs(url)
    with answering(url):
        if not fs.exists(path):
            return []
        return sorted(posixpath.basename(entry.rstrip("/")) for entry in fs.ls(path, detail=False))


def find(url: str) -> dict[str, int]:
    """Every object below a folder: its path from there -> its size in bytes."""
    fs, root = fsspec.url_to_fs(url)
    with answering(url):
        found = fs.find(root, detail=True)
    return {posixpath.relpath(path, root): int(entry["size"]) for path, entry in sorted(found.items())}


def remove(url: str) -> None:
    """Remove one object, or find that another process, or an attempt whose answer was lost, has done so."""
    fs, path = fsspec.url_to_fs(url)
    with answering(url), suppress(FileNotFoundError):
        fs.rm_file(path)


def read_bytes(url: str) -> bytes:
    fs, path = fsspec.url_to_fs(url)
    with answering(url):
        return bytes(fs.cat_file(path))


def write_bytes(url: str, data: bytes) -> None:
    """Write one object in one step: readers see the old object or the new one, never a part."""
    fs, path = fsspec.url_to_fs(url)
    with answering(url):
        if "file" in protocols(fs):
            _write_file(path, data)
        else:
            fs.pipe_file(path, data, timeout=WRITE_SECONDS)


def write_new(url: str, data: bytes) -> None:
    """Write one object in one step, unless it is there already: of two processes the first one's stays."""
    fs, path = fsspec.url_to_fs(url)
    if exists(url):
        return
    if "file" in protocols(fs):
        write_bytes(url, data)
    else:
        with answering(url), suppress(FileExistsError):
            fs.pipe_file(path, data, mode="create", timeout=WRITE_SECONDS)


def _write_file(path: str, data: bytes) -> None:
    """A name of its own for each attempt: two processes may write the same file."""
    os.makedirs(posixpath.dirname(path), exist_ok=True)
    while True:
        partial = f"{path}.{uuid4().hex}.partial"
        with open(partial, "wb") as file:
            file.write(data)
        # A process that seals the store removes the partial files of those that were killed, and maybe this one.
        with suppress(FileNotFoundError):
            os.replace(partial, path)
            return


def read_json(url: str) -> Any:
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    write_bytes(url, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()
