"""The identity of an output: everything that can change its bytes, and a fingerprint of that.

Every output is at ``{root}/{stage}/{fingerprint}`` and contains its identity. So one look-up tells whether an output
exists, and a comparison of two identities tells what changed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from storage import locations
from storage.errors import NewerVersionError, UserError

DOCUMENT = "identity.json"
DOCUMENT_VERSION = 1  # also the version of a document without this field
Row = dict[str, str]


def digest(value: Any) -> str:
    """Compute 16 hex digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Identity:
    """Everything that can change an output's bytes. Its hash is the output's fingerprint.

    Args:
        stage: Name of the stage, e.g. "encode".
        version: Version of the stage's computation; raise it if equal parameters now give other bytes.
        inputs: Name -> fingerprint of each input: other outputs, row sets, components of the teacher.
        parameters: Name -> value of each parameter that can change the bytes, as JSON types. Leave out worker
            counts, devices and roots.

    Example:
        >>> identity = Identity("encode", 2, {"images": "ab12"}, {"size": 512, "shard_rows": 512})
        >>> identity.url("runs")
        'runs/encode/401d8b54aa1ffd00'
    """

    stage: str
    version: int
    inputs: dict[str, str]
    parameters: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the identity."""
        return digest(asdict(self))

    def url(self, root: str) -> str:
        """Return the URL of the output below a root: ``{root}/{stage}/{fingerprint}``."""
        return locations.join(root, self.stage, self.fingerprint)

    def write(self, root: str) -> None:
        """Write the identity to ``identity.json`` in its output below a root. Raises EndpointError."""
        locations.write_json(
            locations.join(self.url(root), DOCUMENT), {"document_version": DOCUMENT_VERSION, **asdict(self)}
        )

    def without(self, *names: str) -> "Identity":
        """Return a copy without the named inputs and parameters, for comparisons that ignore them."""
        inputs = {name: value for name, value in self.inputs.items() if name not in names}
        parameters = {name: value for name, value in self.parameters.items() if name not in names}
        return replace(self, inputs=inputs, parameters=parameters)

    def changes_since(self, older: "Identity") -> list[str]:
        """List what differs from an older identity, from what to what.

        Args:
            older: An identity of the same stage.

        Returns:
            Changed and new inputs, then changed, new and removed parameters, then the schema version if it differs:
            ``["teacher.unet 66aa → 1f09", "crf.hidden 32 → 64", "schema version 4 → 5"]``. Of a fingerprint the first
            four digits.
        """
        inputs = {name: value[:4] for name, value in self.inputs.items() if value != older.inputs.get(name)}
        changed = [describe_change(name, older.inputs.get(name, "none")[:4], new) for name, new in inputs.items()]
        changed += list_changes("", older.parameters, self.parameters)
        version = [describe_change("schema version", older.version, self.version)]
        return changed + (version if self.version != older.version else [])


def read_identity(url: str) -> Identity:
    """Read the identity of the output at ``url``.

    Raises UserError if there is none or if its fingerprint is not the one in the URL, and NewerVersionError if a newer
    version of latentcrf wrote it.
    """
    try:
        values = json.loads(locations.read_bytes(locations.join(url, DOCUMENT)))
        version = values.pop("document_version", DOCUMENT_VERSION)
        if version > DOCUMENT_VERSION:
            raise NewerVersionError(f"an identity of version {DOCUMENT_VERSION} or older", f"{version} in {url}")
        identity = Identity(**values)
        if identity.fingerprint == locations.get_name(url):
            return identity
    except (ValueError, TypeError, AttributeError):  # no JSON, other fields, or no object
        pass
    raise UserError(
        f"the identity of {locations.get_name(url)}",
        f"another or none in {url}/{DOCUMENT}",
        "restore the folder's name, or run `latentcrf verify`",
    )


def list_changes(prefix: str, older: dict[str, Any], newer: dict[str, Any]) -> list[str]:
    """List the parameters that differ, those in nested parameters as "crf.hidden 32 → 64"."""
    changed = []
    for name in sorted({*older, *newer}):
        before, after = older.get(name), newer.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            changed += list_changes(f"{prefix}{name}.", before, after)
        elif before != after:
            changed.append(describe_change(f"{prefix}{name}", before, after))
    return changed


def describe_change(name: str, before: Any, after: Any) -> str:
    """Describe one change as "name before → after", each value in at most 40 characters."""
    values = [value if isinstance(value, str) else json.dumps(value) for value in (before, after)]
    return f"{name} {' → '.join(shorten(value, 40) for value in values)}"


def shorten(text: str, limit: int) -> str:
    """Cut a text to at most ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@dataclass(frozen=True)
class RowSet:
    """An input set: the fingerprint of its rows, of the rows of each shard, and the number of rows."""

    fingerprint: str
    shards: list[str]
    count: int


def fingerprint_rows(rows: Iterable[Row], shard_rows: int) -> RowSet:
    """Compute the fingerprint of an input set's rows, and of the rows of each shard.

    Fingerprints cover each row's id, caption, checksum and reason, and the order of the rows, but not the URIs.
    """
    whole, shards, count = hashlib.sha256(), [], 0
    for row in rows:
        if count % shard_rows == 0:
            shards.append(hashlib.sha256())
        for hashed in (whole, shards[-1]):
            hashed.update(_row_bytes(row))
        count += 1
    return RowSet(whole.hexdigest()[:16], [shard.hexdigest()[:16] for shard in shards], count)


def check_unchanged(rows: Iterable[Row], fingerprint: str) -> Iterator[Row]:
    """Yield the rows of an input set. Raises UserError at the end if their fingerprint differs from ``fingerprint``."""
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(_row_bytes(row))
        yield row
    if hashed.hexdigest()[:16] != fingerprint:
        raise UserError("an input set that does not change during a run", "other rows than at first", "run again")


def _row_bytes(row: Row) -> bytes:
    return json.dumps([row[name] for name in ("id", "caption", "checksum", "reason")]).encode()
