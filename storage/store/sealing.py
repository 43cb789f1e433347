"""The last step of writing a store: once every shard is committed, write the final index and the manifest."""

from collections.abc import Iterable

from storage import locations
from storage.errors import UserError
from storage.identity import DOCUMENT
from storage.records import hash_object, read_record
from storage.seals import seal_output
from storage.store.handle import OpenedStore
from storage.store.index import read_index_shards, write_index
from storage.store.layout import FLAGS, GROUP, INDEX, make_commit_path
from storage.store.records import CommitRecord, ShardEntry, StoreManifest


def seal(store: OpenedStore, products: Iterable[str]) -> None:
    """Write the final index, with the reasons of rejected rows, and then the manifest.

    Both depend only on the commit records, so processes that seal concurrently, or again, write the same bytes.
    """
    missing = sorted(set(range(store.shard_count)) - store.committed())
    if missing:
        raise UserError(
            f"{store.shard_count} committed shards",
            f"{len(missing)} missing, the first {missing[0]}",
            "run the stage again",
        )
    commits = [_read_commit(store, shard) for shard in range(store.shard_count)]
    rejected = {row: reason for commit in commits for row, reason in commit.rejected.items()}
    url = locations.join(store.url, INDEX)
    _, checksums = write_index(url, read_index_shards(url), rejected=rejected)
    manifest = StoreManifest(
        rows=len(store),
        valid=sum(commit.valid for commit in commits),
        rejected=len(rejected),
        shards=[_make_entry(commit, checksum) for commit, checksum in zip(commits, checksums, strict=True)],
        objects=hash_objects(store, products),
    )
    seal_output(store.url, manifest)


def hash_objects(store: OpenedStore, products: Iterable[str]) -> dict[str, str]:
    """Hash all objects that are neither shards nor records: path -> SHA-256. Removes files of killed writers."""
    found = locations.find(store.url)
    for path in found:
        if path.endswith(".partial"):
            locations.remove(locations.join(store.url, path))
    layout = {GROUP, INDEX, DOCUMENT, *(f"{name}/{GROUP}" for name in [*store.names, *FLAGS])}
    names = sorted((layout & set(found)) | set(products))
    return {name: hash_object(locations.join(store.url, name)) for name in names}


def _read_commit(store: OpenedStore, shard: int) -> CommitRecord:
    return read_record(locations.join(store.url, make_commit_path(shard)), CommitRecord)


def _make_entry(commit: CommitRecord, index: str) -> ShardEntry:
    return ShardEntry(
        shard=commit.shard, rows=commit.rows, fingerprint=commit.fingerprint, sha256=commit.sha256, index=index
    )
