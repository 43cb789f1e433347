"""JSON records that carry their own checksum: whoever reads one finds a flipped bit in it."""

import hashlib
import json
from typing import Any

from storage import locations
from storage.errors import DamagedStoreError

Record = dict[str, Any]


def sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def object_sha256(url: str) -> str:
    """Of an object of any size."""
    with locations.local_copy(url) as path, open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(url: str, record: Record) -> None:
    locations.write_bytes(url, _encoded(record))


def write_new_record(url: str, record: Record) -> None:
    """Unless there is one already, which then stays."""
    locations.write_new(url, _encoded(record))


def read_record(url: str) -> Record:
    """The record without its checksum; raises DamagedStoreError where the bytes are not those that were written."""
    record = intact_record(locations.read_bytes(url))
    if record is None:
        raise DamagedStoreError(url)
    return record


def intact_record(data: bytes) -> Record | None:
    """The record in these bytes, or None where they are not byte for byte what was written."""
    try:
        record = json.loads(data)
        del record["digest"]
        return record if _encoded(record) == data else None
    except (ValueError, KeyError, TypeError):  # no JSON, no UTF-8, no checksum, or no mapping
        return None


def _encoded(record: Record) -> bytes:
    digest = sha256(json.dumps(record, sort_keys=True).encode())
    return locations.json_bytes({**record, "digest": digest})
