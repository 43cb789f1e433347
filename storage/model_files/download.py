"""Fetch a model's files from an object store into the cache of this machine, once for all of its processes.

    {cache}/{key}.lock
    {cache}/{key}/unet/config.json
    {cache}/{key}/unet/diffusion_pytorch_model.safetensors.{uuid}.part    not checked yet
    {cache}/{key}.json                                                    for people: the URL and the files; last

A file gets its name after its size and checksum are found right, so what has its name is whole, even if the lock does
not hold, as on some network filesystems, or its holder was killed. A changed object changes the key.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from crc32c import CRC32CHash
from filelock import FileLock
from fsspec.callbacks import TqdmCallback
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import UserError
from storage.model_files.disk import explain_full_disk, keep_room, make_cache
from storage.model_files.hub import is_whole
from storage.model_files.remote import RemoteFile, RemoteModel

PIECE = 1 << 22
CHECKSUMS: dict[str, Callable[[], Any]] = {"md5": hashlib.md5, "crc32c": CRC32CHash}


class DamagedDownloadError(UserError):
    """The bytes that came are not those that the listing told: damaged on their way, or the object has changed.

    Args:
        url: URL of the object.
        found: What differs.
    """

    def __init__(self, url: str, found: str) -> None:
        super().__init__(f"the bytes that are listed for {url}", found, "run the same command again")


def fetch_objects(model: RemoteModel, files: list[RemoteFile]) -> Path:
    """Return the folder with these files of a model, after fetching what is missing."""
    folder = make_cache() / model.key
    if all(is_whole(folder, file) for file in files):
        return folder
    with FileLock(f"{folder}.lock"):
        remove_parts(folder)
        missing = [file for file in files if not is_whole(folder, file)]
        needed = sum(file.size for file in missing)
        keep_room(folder, needed)
        for file in missing:
            fetch_object(model, file, folder)
        if len(files) == len(model.files):
            sizes = {file.name: file.size for file in files}
            locations.write_json(f"{folder}.json", {"url": model.url, "files": sizes})
    return folder


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed left in a model's folder."""
    for part in folder.rglob("*.part"):
        part.unlink(missing_ok=True)


# Another process removes the part if the lock does not hold.
@retry(
    retry=retry_if_exception_type((DamagedDownloadError, FileNotFoundError)), stop=stop_after_attempt(3), reraise=True
)
def fetch_object(model: RemoteModel, file: RemoteFile, folder: Path) -> None:
    """Fetch one file; check it, then give it its name."""
    url = model.url if model.single else locations.join(model.url, file.name)
    fs, path = fsspec.url_to_fs(url)
    part = folder / f"{file.name}.{uuid4().hex}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    bar = TqdmCallback(tqdm_kwargs={"desc": file.name, "unit": "B", "unit_scale": True, "disable": None})
    try:
        with translate_errors(url), explain_full_disk(folder, file.size):
            fs.get_file(path, str(part), callback=bar)
        check_bytes(url, part, file)
        os.replace(part, folder / file.name)
    finally:
        bar.close()
        part.unlink(missing_ok=True)


def check_bytes(url: str, path: Path, file: RemoteFile) -> None:
    """Raise DamagedDownloadError unless a fetched file has the listed size and, if one is listed, the checksum."""
    size = path.stat().st_size
    if size != file.size:
        raise DamagedDownloadError(url, f"{size} bytes where {file.size} are listed")
    algorithm, _, expected = file.checksum.partition(":")
    if algorithm not in CHECKSUMS:
        return
    checksum = CHECKSUMS[algorithm]()
    with path.open("rb") as content:
        while piece := content.read(PIECE):
            checksum.update(piece)
    if checksum.hexdigest() != expected:
        raise DamagedDownloadError(url, f"another {algorithm}")
