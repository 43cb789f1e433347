"""WebDataset tars: ``KEY.jpg`` next to its caption, ``KEY.txt``. Nothing is ever unpacked to disk."""

import itertools
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO, Any

import fsspec

from storage.errors import UserError
from storage.inputs.file_states import read_version
from storage.inputs.image_files import MAX_BYTES, check_size, hash_content
from storage.inputs.image_folder import MAX_CAPTION_FILE, SUFFIXES
from storage.inputs.known_rows import KnownRows
from storage.inputs.rows import RejectedImageError, Row, add_caption, add_caption_file, new_row, reject


def scan_tar(url: str, known: KnownRows) -> Iterator[Row]:
    """Yield one row per image. All rows are known if the tar has not changed."""
    known.version = version = read_version(url)
    count = 0
    for count, row in enumerate(known.take_version(version), start=1):  # noqa: B007
        yield row
    if version and known.whole == version:
        return
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        groups = itertools.groupby(_read_members(file, url), key=lambda m: posixpath.splitext(m.name)[0])
        rows = itertools.chain.from_iterable(_scan_group(url, file, key, group) for key, group in groups)
        for row in itertools.islice(rows, count, None):
            known.take()  # the known row at this position has another version
            yield {**row, "version": version}


def _read_members(file: IO[bytes], url: str) -> Iterator[tarfile.TarInfo]:
    """Yield the members one by one and keep none. Raises UserError if the tar is damaged or truncated."""
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


def _scan_group(url: str, file: IO[bytes], key: str, group: Iterator[tarfile.TarInfo]) -> Iterator[Row]:
    """Yield the rows of adjacent members with the same key. They share a caption."""
    images: list[Row] = []
    text: bytes | None = None
    for member in group:
        if member.name.lower().endswith(SUFFIXES):
            images.append(_scan_image(url, file, member))
        elif member.name.endswith(".txt") and _is_plain(member):
            text = _read(file, member, MAX_CAPTION_FILE)
    for row in images:
        yield add_caption(row, posixpath.basename(key)) if text is None else add_caption_file(row, text)


def _scan_image(url: str, file: IO[bytes], member: tarfile.TarInfo) -> Row:
    row = new_row(member.name, f"{url}#{member.offset_data}:{member.size}")
    if not _is_plain(member):
        return reject(row, "not a file but a link, a device or a sparse file")
    try:
        check_size(member.size)
    except RejectedImageError as error:
        return reject(row, str(error))
    return {**row, "checksum": hash_content(_read(file, member, MAX_BYTES))}


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()  # a sparse file may claim any size


def _read(file: Any, member: tarfile.TarInfo, limit: int) -> bytes:
    file.seek(member.offset_data)
    return bytes(file.read(min(member.size, limit)))
