"""WebDataset tars: ``KEY.jpg`` with its caption in ``KEY.txt``, next to each other. Nothing is ever unpacked."""

import hashlib
import itertools
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO, Any

import fsspec

from storage.errors import UserError
from storage.inputs.image_files import MAX_BYTES, too_large
from storage.inputs.image_folder import SUFFIXES
from storage.inputs.rows import MAX_CAPTION, Row, add_caption, add_caption_file, refused, replace_surrogates


def scan_tar(url: str) -> Iterator[Row]:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        for key, group in itertools.groupby(_members(file, url), key=lambda m: posixpath.splitext(m.name)[0]):
            yield from _rows(url, file, key, group)


def _members(file: IO[bytes], url: str) -> Iterator[tarfile.TarInfo]:
    """One after the other, none kept; UserError where the tar does not end as tars do."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[attr-defined]
                yield member
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"damaged or cut off at byte {tar.offset}")
    except tarfile.TarError as error:
        step = "write or download it again; decompress it if it is compressed"
        raise UserError("an uncompressed tar", f"{url}: {error}", step) from None


def _rows(url: str, file: IO[bytes], key: str, group: Iterator[tarfile.TarInfo]) -> Iterator[Row]:
    images: list[Row] = []
    text: bytes | None = None
    for member in group:
        row = {"id": replace_surrogates(member.name), "uri": f"{url}#{member.offset_data}:{member.size}"}
        if member.name.lower().endswith(SUFFIXES):
            images.append(_image(file, member, row))
        elif member.name.endswith(".txt") and _is_plain(member):
            text = _read(file, member, 8 * MAX_CAPTION)
    for row in images:
        yield add_caption(row, posixpath.basename(key)) if text is None else add_caption_file(row, text)


def _image(file: IO[bytes], member: tarfile.TarInfo, row: Row) -> Row:
    if not _is_plain(member):
        return refused(row, "not a file but a link, a device or a sparse file")
    if member.size > MAX_BYTES:
        return refused(row, too_large(member.size))
    return {**row, "sha256": hashlib.sha256(_read(file, member, MAX_BYTES)).hexdigest()}


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()  # a sparse file's size is only claimed


def _read(file: Any, member: tarfile.TarInfo, limit: int) -> bytes:
    file.seek(member.offset_data)
    return bytes(file.read(min(member.size, limit)))
