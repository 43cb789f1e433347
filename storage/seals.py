"""The seal of an output: ``manifest.json``, written last. An output without it is unfinished.

A sealed output is never written again. Its manifest names the objects that belong to it, with their checksums;
the manifests of latent stores (``storage.store.records.StoreManifest``) and of trainings say more about theirs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage import locations
from storage.records import Record, write_record

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """The fields of every manifest.

    ``objects``: path -> SHA-256 of each object of the output that is neither a shard nor a record.
    """

    objects: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class TrainingManifest(Manifest):
    """The manifest of a trained CRF.

    ``steps``: optimizer steps. ``workers``: worker processes; 0 if the driver trained. ``provenance``: how it was made.
    """

    steps: int
    workers: int
    provenance: dict[str, Any]


def seal_output(url: str, manifest: Manifest) -> None:
    """Mark the output at ``url`` as finished, by writing its manifest."""
    write_record(locations.join(url, MANIFEST), manifest)


def is_sealed(url: str) -> bool:
    """Return whether the output at ``url`` is finished."""
    return locations.exists(locations.join(url, MANIFEST))


def read_seal_time(url: str) -> datetime:
    """Read the time at which the output at ``url`` was sealed."""
    return locations.read_modified_time(locations.join(url, MANIFEST))
