"""The identity of an output: everything that can change its bytes, and the fingerprint over it.

Every output is at ``{root}/{stage}/{fingerprint}``, with its identity in it. So one look tells whether it has been
made already, and a comparison of two identities tells why not.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from storage import locations
from storage.errors import NewerVersionError, UserError

DOCUMENT = "identity.json"
DOCUMENT_VERSION = 1  # of a document without the field, too
Row = dict[str, str]


def digest(value: Any) -> str:
    """Return 16 hex digits of the SHA-256 over a value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Identity:
    """What an output is: everything that can change its bytes. The fingerprint is a hash of it.

    Args:
        stage: Name of the stage, e.g. "encode".
        version: Version of what the stage computes; raise it if the same parameters give other bytes.
        inputs: Name -> fingerprint of each input: other outputs, row sets, parts of the teacher.
        parameters: Name -> value of each parameter that can change the bytes; plain JSON. Worker counts, batch
            sizes, devices and roots are not among them.

    Example:
        >>> identity = Identity("encode", 2, {"images": "ab12"}, {"size": 512, "shard_rows": 512})
        >>> identity.url("runs")
        'runs/encode/8a0bd5a09a7d4d4d'
    """

    stage: str
    version: int
    inputs: dict[str, str]
    parameters: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return digest(asdict(self))

    def url(self, root: str) -> str:
        return locations.join(root, self.stage, self.fingerprint)

    def write(self, root: str) -> None:
        locations.write_json(
            locations.join(self.url(root), DOCUMENT), {"document_version": DOCUMENT_VERSION, **asdict(self)}
        )

    def without(self, *inputs: str) -> "Identity":
        """Return the identity without these inputs, for a comparison in which they do not matter."""
        return replace(self, inputs={name: value for name, value in self.inputs.items() if name not in inputs})

    def changes_since(self, older: "Identity") -> list[str]:
        """Return the names of the inputs and parameters that differ: ``["teacher.unet", "guidance_scale"]``."""
        changed = [name for name in self.inputs if self.inputs[name] != older.inputs.get(name)]
        names = sorted({*self.parameters, *older.parameters})
        changed += [name for name in names if self.parameters.get(name) != older.parameters.get(name)]
        return changed + (["schema version"] if self.version != older.version else [])


def read_identity(url: str) -> Identity:
    """Read the identity of the output at ``url``.

    Raises UserError if its fingerprint is not the one in the URL, NewerVersionError if a newer version wrote it.
    """
    try:
        values = json.loads(locations.read_bytes(locations.join(url, DOCUMENT)))
        version = values.pop("document_version", DOCUMENT_VERSION)
        if version > DOCUMENT_VERSION:
            raise NewerVersionError(f"an identity of version {DOCUMENT_VERSION} or older", f"{version} in {url}")
        identity = Identity(**values)
        if identity.fingerprint == locations.name_of(url):
            return identity
    except (ValueError, TypeError, AttributeError):  # no JSON, other fields, or no object
        pass
    raise UserError(
        f"the identity of {locations.name_of(url)}",
        f"another or none in {url}/{DOCUMENT}",
        "give the folder back its name, or see `latentcrf verify`",
    )


def fingerprint_rows(rows: Iterable[Row], shard_rows: int) -> tuple[str, list[str]]:
    """Return the fingerprint of an input set's rows, and that of each shard's rows.

    They cover each row's id, caption, content and reason, and the order of the rows, but not where the content is.
    """
    whole, shards = hashlib.sha256(), []
    for number, row in enumerate(rows):
        if number % shard_rows == 0:
            shards.append(hashlib.sha256())
        for hashed in (whole, shards[-1]):
            hashed.update(_row_bytes(row))
    return whole.hexdigest()[:16], [shard.hexdigest()[:16] for shard in shards]


def check_unchanged(rows: Iterable[Row], fingerprint: str) -> Iterator[Row]:
    """Yield the rows of an input set that is read again. Raises UserError at the end if it has changed meanwhile."""
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(_row_bytes(row))
        yield row
    if hashed.hexdigest()[:16] != fingerprint:
        raise UserError("the input set as it was when the run began", "other rows", "run it again")


def _row_bytes(row: Row) -> bytes:
    return json.dumps([row[name] for name in ("id", "caption", "checksum", "reason")]).encode()
