"""URLs of any fsspec filesystem, and the few file operations that the stages need on them."""

import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from storage.endpoints import S3_OPTIONS, WRITE_SECONDS, translate_errors

fsspec.register_implementation("gs", "storage.google.GoogleStorage", clobber=True)
fsspec.register_implementation("gcs", "storage.google.GoogleStorage", clobber=True)
fsspec.config.conf["s3"] = {**S3_OPTIONS, **fsspec.config.conf.get("s3", {})}  # the user's own come first


def make_absolute(url: str) -> str:
    """A URL as it is; a local path made absolute, so that every process means the same file."""
    path = local_path(url)
    return url.rstrip("/") if path is None else path


def local_path(url: str) -> str | None:
    """None where it is not a local file's URL."""
    fs, path = fsspec.url_to_fs(url)
    return str(path) if "file" in protocols(fs) else None


def protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def join(url: str, *parts: str) -> str:
    return posixpath.join(url, *parts)


def name_of(url: str) -> str:
    """The last part of a URL: for a stage's output, its fingerprint."""
    return posixpath.basename(url.rstrip("/"))


def exists(url: str) -> bool:
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        return bool(fs.exists(path))


def list_names(url: str) -> list[str]:
    """Names directly below a folder, sorted; none if there is no such folder."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        if not fs.exists(path):
            return []
        return sorted(posixpath.basename(entry.rstrip("/")) for entry in fs.ls(path, detail=False))


def find(url: str) -> dict[str, int]:
    """Every object below a folder: its path from there -> its size in bytes."""
    fs, root = fsspec.url_to_fs(url)
    with translate_errors(url):
        found = fs.find(root, detail=True)
    return {posixpath.relpath(path, root): int(entry["size"]) for path, entry in sorted(found.items())}


def remove(url: str) -> None:
    """Remove one object, or find that another process, or an attempt whose answer was lost, has done so."""
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url), suppress(FileNotFoundError):
        fs.rm_file(path)


def read_bytes(url: str) -> bytes:
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url):
        return bytes(fs.cat_file(path))


def read_many(urls: list[str]) -> list[bytes]:
    """Objects of one filesystem, many at a time where it can."""
    if not urls:
        return []
    fs, _ = fsspec.url_to_fs(urls[0])
    with translate_errors(urls[0]):
        return list(fs.cat_ranges([fsspec.url_to_fs(url)[1] for url in urls], None, None, on_error="raise"))


@contextmanager
def local_copy(url: str) -> Iterator[str]:
    """A local file with an object's bytes: the object itself where it is one, else a temporary file."""
    fs, path = fsspec.url_to_fs(url)
    if "file" in protocols(fs):
        yield path
        return
    with tempfile.NamedTemporaryFile() as file:
        with translate_errors(url):
            if "memory" in protocols(fs):  # its readers share one position in the object
                file.write(fs.cat_file(path))
                file.flush()
            else:
                fs.get_file(path, file.name)
        yield file.name


def write_bytes(url: str, data: bytes) -> None:
    """Write one object in one step: readers see the old object or the new one, never a part."""
    write_pieces(url, lambda: [data])


def write_pieces(url: str, pieces: Callable[[], Iterable[bytes | memoryview]]) -> None:
    """The same, of bytes that come one after the other; ``pieces`` gives them once more where it has to."""
    fs, path = fsspec.url_to_fs(url)

    def write(beside: str) -> None:
        with open(beside, "wb", buffering=1 << 20) as file:
            file.writelines(pieces())

    with translate_errors(url):
        if "file" in protocols(fs):
            _put_in_place(path, write)
        else:
            fs.pipe_file(path, b"".join(pieces()), timeout=WRITE_SECONDS)


def write_file(url: str, local_path: str, *, new: bool = False) -> None:
    """The same, from a local file; with ``new`` as ``write_new``."""
    fs, path = fsspec.url_to_fs(url)
    if new and exists(url):
        return
    with translate_errors(url):
        if "file" in protocols(fs):
            _put_in_place(path, partial(fs.cp_file, local_path))
            return
        mode = "create" if new else "overwrite"
        with suppress(*[FileExistsError] if new else []):
            if "memory" in protocols(fs):  # put_file would show others an object that grows
                fs.pipe_file(path, Path(local_path).read_bytes(), mode=mode)
            else:
                fs.put_file(local_path, path, mode=mode)


def write_new(url: str, data: bytes) -> None:
    """Write one object in one step, unless it is there already: of two processes the first one's stays."""
    fs, path = fsspec.url_to_fs(url)
    if exists(url):
        return
    if "file" in protocols(fs):
        write_bytes(url, data)
    else:
        with translate_errors(url), suppress(FileExistsError):
            fs.pipe_file(path, data, mode="create", timeout=WRITE_SECONDS)


def copy(source: str, target: str) -> None:
    """Copy one object within a filesystem in one step: by the server, where it can, else through this process."""
    fs, path = fsspec.url_to_fs(target)
    copy_to = partial(fs.cp_file, fsspec.url_to_fs(source)[1])
    try:
        with translate_errors(target):
            if "file" in protocols(fs):
                _put_in_place(path, copy_to)
            else:
                copy_to(path)
    except NotImplementedError:
        write_bytes(target, read_bytes(source))


@retry(retry=retry_if_exception_type((FileNotFoundError, FileExistsError)), stop=stop_after_attempt(100), reraise=True)
def _put_in_place(path: str, write: Callable[[str], object]) -> None:
    """``write`` a file beside ``path``, then let it take that place.

    Its name is its own, as two processes may write the same object. Who seals a store removes what killed
    writers have left there, and maybe this one's, and who trains removes old checkpoints' folders: then it is
    written once more.
    """
    os.makedirs(posixpath.dirname(path), exist_ok=True)
    beside = f"{path}.{uuid4().hex}.partial"
    write(beside)
    os.replace(beside, path)


def read_json(url: str) -> Any:
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    write_bytes(url, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()
