"""The records of a latent store, and the types of their fields."""

from dataclasses import dataclass
from typing import Any, Self

from storage.records import Record
from storage.seals import Manifest


@dataclass(frozen=True, kw_only=True)
class CreatedRecord(Record):
    """``commits/created.json``: the store's layout is complete.

    ``rows``: number of rows in the store, including rejected ones.
    """

    rows: int


@dataclass(frozen=True, kw_only=True)
class ShardRecord(Record):
    """The fields that a shard's commit record and its entry in the manifest share.

    ``shard``: its number. ``rows``: its first row, and the row after its last. ``fingerprint``: fingerprint of all
    that its values depend on, or None. ``sha256``: array -> checksum of the shard's values.
    """

    shard: int
    rows: list[int]
    fingerprint: str | None
    sha256: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class CommitRecord(ShardRecord):
    """``commits/00007.json``: shard 7 is complete.

    ``valid``: number of valid rows. ``rejected``: row -> reason. ``timing``: name -> seconds: "seconds" from reading
    the rows to writing the shard, "device_seconds" of actors computing. ``copied_from``: URL of the store that the
    shard was copied from. ``note``: what was unusual in computing it. The JSON leaves out the last two where they are
    None.
    """

    valid: int
    rejected: dict[int, str]
    timing: dict[str, float]
    copied_from: str | None = None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        values = {**super().to_json(), "rejected": {str(row): reason for row, reason in self.rejected.items()}}
        return {name: value for name, value in values.items() if value is not None or name == "fingerprint"}

    @classmethod
    def from_json(cls, values: dict[str, Any], url: str) -> Self:
        rejected = {int(row): reason for row, reason in values["rejected"].items()}
        return super().from_json({**values, "rejected": rejected}, url)


@dataclass(frozen=True, kw_only=True)
class ShardEntry(ShardRecord):
    """A shard's entry in the manifest. ``index``: checksum of its rows in the index."""

    index: str


@dataclass(frozen=True, kw_only=True)
class StoreManifest(Manifest):
    """``manifest.json``: the store is sealed.

    ``rows``, ``valid``, ``rejected``: number of all, valid and rejected rows. ``shards``: one entry per shard, in
    order.
    """

    rows: int
    valid: int
    rejected: int
    shards: list[ShardEntry]

    @classmethod
    def from_json(cls, values: dict[str, Any], url: str) -> Self:
        shards = [ShardEntry.from_json(entry, url) for entry in values["shards"]]
        return super().from_json({**values, "shards": shards}, url)
