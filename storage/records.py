"""JSON records with declared fields and a checksum of their own, so that a reader notices a flipped bit.

On disk a record is one JSON object: the fields of its dataclass, and ``digest``, a SHA-256 of the others. A record
whose checksum is right but which has fields that its dataclass does not declare was written by a newer version:
reading it raises NewerVersionError. Anything else that does not match is damage.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, TypeVar

from storage import locations
from storage.errors import DamagedStoreError, NewerVersionError

R = TypeVar("R", bound="Record")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records. A subclass declares the fields, and overrides both methods if JSON has no type for one."""

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object, without ``digest``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], url: str) -> Self:
        """Read back what ``to_json`` gave. ``url`` is for the message of NewerVersionError."""
        if unknown := sorted(values.keys() - {field.name for field in fields(cls)}):
            raise NewerVersionError("a record of a known format", f"the unknown fields {unknown} in {url}")
        return cls(**values)


def write_record(url: str, record: Record) -> None:
    """Write a record in one step, over an older one if there is one."""
    locations.write_bytes(url, _encode(record.to_json()))


def write_new_record(url: str, record: Record) -> None:
    """Write a record unless there is one already."""
    locations.write_new(url, _encode(record.to_json()))


def read_record(url: str, kind: type[R]) -> R:
    """Read a record of the given class. Raises DamagedStoreError if it is not what was written."""
    record = parse_record(locations.read_bytes(url), kind, url)
    if record is None:
        raise DamagedStoreError(url)
    return record


def parse_record(data: bytes, kind: type[R], url: str) -> R | None:
    """Parse the bytes of a record. Returns None unless they are what was written, byte for byte."""
    try:
        values = json.loads(data)
        del values["digest"]
        return kind.from_json(values, url) if _encode(values) == data else None
    except (ValueError, KeyError, TypeError):  # no JSON, not UTF-8, no checksum, no object, or a field is missing
        return None


def compute_sha256(data: bytes | memoryview) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_object(url: str) -> str:
    """SHA-256 of an object of any size, in hexadecimal digits."""
    with locations.local_copy(url) as path, open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encode(values: dict[str, Any]) -> bytes:
    digest = compute_sha256(json.dumps(values, sort_keys=True).encode())
    return locations.encode_json({**values, "digest": digest})
