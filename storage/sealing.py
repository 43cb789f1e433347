"""The last step of a store's making: every shard is there, so its manifest can say what belongs to it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from storage import locations
from storage.errors import UserError
from storage.identity import DOCUMENT
from storage.index import encode_index, split_index
from storage.layout import FLAGS, GROUP, INDEX, MANIFEST, commit_path
from storage.records import read_record, sha256, write_record

if TYPE_CHECKING:
    from storage.store import LatentStore


def seal(store: "LatentStore", products: Iterable[str]) -> None:
    """Write the final index, with the reasons, and, last, the manifest.

    All of it follows from what is committed: who seals at the same time, or again, writes the same bytes.
    """
    missing = sorted(set(range(store.shard_count)) - store.committed())
    if missing:
        raise UserError(
            f"{store.shard_count} committed shards", f"{len(missing)} missing, the first {missing[0]}", "run again"
        )
    commits = [read_record(locations.join(store.url, commit_path(shard))) for shard in range(store.shard_count)]
    rejected = {int(row): reason for commit in commits for row, reason in commit["rejected"].items()}
    url = locations.join(store.url, INDEX)
    data, _, index = encode_index(split_index(locations.read_bytes(url)), rejected=rejected)
    locations.write_bytes(url, data)
    manifest = {
        "rows": len(store),
        "valid": sum(commit["valid"] for commit in commits),
        "rejected": len(rejected),
        "shards": [
            {"shard": commit["shard"], "rows": commit["rows"], "sha256": commit["sha256"], "index": checksum}
            for commit, checksum in zip(commits, index, strict=True)
        ],
        "objects": object_checksums(store, products),
    }
    write_record(locations.join(store.url, MANIFEST), manifest)


def object_checksums(store: "LatentStore", products: Iterable[str]) -> dict[str, str]:
    """Of all that is neither a shard nor a record. Removes what killed writers have left."""
    found = locations.find(store.url)
    for path in found:
        if path.endswith(".partial"):
            locations.remove(locations.join(store.url, path))
    layout = {GROUP, INDEX, DOCUMENT, *(f"{name}/{GROUP}" for name in [*store.names, *FLAGS])}
    names = sorted((layout & set(found)) | set(products))
    return {name: sha256(locations.read_bytes(locations.join(store.url, name))) for name in names}
