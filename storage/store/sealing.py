"""The last step of a store's making: every shard is there, so its manifest can say what belongs to it."""

from collections.abc import Iterable

from storage import locations
from storage.errors import UserError
from storage.identity import DOCUMENT
from storage.store.handle import OpenedStore
from storage.store.index import index_shards, write_index
from storage.store.layout import FLAGS, GROUP, INDEX, MANIFEST, commit_path
from storage.store.records import object_sha256, read_record, write_record


def seal(store: OpenedStore, products: Iterable[str]) -> None:
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
    _, index = write_index(url, index_shards(url), rejected=rejected)
    manifest = {
        "rows": len(store),
        "valid": sum(commit["valid"] for commit in commits),
        "rejected": len(rejected),
        "shards": [
            {**{key: commit.get(key) for key in ("shard", "rows", "fingerprint", "sha256")}, "index": checksum}
            for commit, checksum in zip(commits, index, strict=True)
        ],
        "objects": object_checksums(store, products),
    }
    write_record(locations.join(store.url, MANIFEST), manifest)


def object_checksums(store: OpenedStore, products: Iterable[str]) -> dict[str, str]:
    """Of all that is neither a shard nor a record. Removes what killed writers have left."""
    found = locations.find(store.url)
    for path in found:
        if path.endswith(".partial"):
            locations.remove(locations.join(store.url, path))
    layout = {GROUP, INDEX, DOCUMENT, *(f"{name}/{GROUP}" for name in [*store.names, *FLAGS])}
    names = sorted((layout & set(found)) | set(products))
    return {name: object_sha256(locations.join(store.url, name)) for name in names}
