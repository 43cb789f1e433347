"""What an output is: the fingerprint over everything that can change its bytes.

Every output lives at ``{root}/{stage}/{fingerprint}`` with its identity beside it, so that
"already made" is a question of one look, and "why not" one of comparing two documents.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from storage import locations
from storage.errors import UserError

DOCUMENT = "identity.json"


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 over canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Identity:
    """A stage's name and schema version, its inputs' fingerprints, its byte-changing parameters."""

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
        locations.write_json(locations.join(self.url(root), DOCUMENT), asdict(self))

    def changes_since(self, older: "Identity") -> list[str]:
        """Names of the inputs and parameters that differ: ``["teacher.unet", "guidance"]``."""
        changed = [name for name in self.inputs if self.inputs[name] != older.inputs.get(name)]
        names = sorted({*self.parameters, *older.parameters})
        changed += [name for name in names if self.parameters.get(name) != older.parameters.get(name)]
        return changed + (["schema version"] if self.version != older.version else [])


def read_identity(url: str) -> Identity:
    """The identity of the output at ``url``; raises UserError where it does not give the fingerprint in the URL."""
    try:
        identity = Identity(**json.loads(locations.read_bytes(locations.join(url, DOCUMENT))))
        if identity.fingerprint == locations.name_of(url):
            return identity
    except (ValueError, TypeError):  # no JSON, or other fields
        pass
    raise UserError(
        f"the identity of {locations.name_of(url)}",
        f"another or none in {url}/{DOCUMENT}",
        "give the folder back its name, or see `latentcrf verify`",
    )


def fingerprint_rows(rows: Iterable[dict[str, str]]) -> tuple[str, int]:
    """Fingerprint and number of an input set's rows: id, caption and content, in order; not where they lie."""
    hashed, count = hashlib.sha256(), 0
    for row in rows:
        hashed.update(json.dumps([row["id"], row["caption"], row["sha256"]]).encode())
        count += 1
    return hashed.hexdigest()[:16], count
