"""JSON records with declared fields and a checksum of their own, which reveals a flipped bit.

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
    """Base class of all records. A subclass declares fields, and overrides both methods if JSON lacks a type."""

    def to_json(self) -> dict[str, Any]:
        """Convert the record to a JSON object, without ``digest``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], url: str) -> Self:
        """Convert back from ``to_json``. Raises NewerVersionError, whose message names ``url``, for unknown fields."""
        if unknown := sorted(values.keys() - {field.name for field in fields(cls)}):
            raise NewerVersionError("a record of a known format", f"the unknown fields {unknown} in {url}")
        return cls(**values)


def write_record(url: str, record: Record) -> None:
    """Write a record in one step. Replaces an older one."""
    locations.write_bytes(url, _encode(record.to_json()))


def write_new_record(url: str, record: Record) -> None:
    """Write a record in one step, unless there is one."""
    locations.write_new(url, _encode(record.to_json()))


def read_record(url: str, kind: type[R]) -> R:
    """Read a record of class ``kind``. Raises DamagedStoreError if its checksum is wrong."""
    record = parse_record(locations.read_bytes(url), kind, url)
    if record is None:
        raise DamagedStoreError(url)
    return record


def parse_record(data: bytes, kind: type[R], url: str) -> R | None:
    """Parse the bytes of a record of class ``kind``. Returns None if damaged. ``url`` is for error messages."""
    try:
        values = json.loads(data)
        del values["digest"]
        return kind.from_json(values, url) if _encode(values) == data else None
    except (ValueError, KeyError, TypeError):  # no JSON, not UTF-8, no checksum, no object, or a field is missing
        return None


def compute_sha256(data: bytes | memoryview) -> str:
    """Compute the SHA-256, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_object(url: str) -> str:
    """Compute the SHA-256 of an object of any size, in hexadecimal digits."""
    with locations.open_local_copy(url) as path, open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encode(values: dict[str, Any]) -> bytes:
    digest = compute_sha256(json.dumps(values, sort_keys=True).encode())
    return locations.encode_json({**values, "digest": digest})
