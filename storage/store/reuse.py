"""Shards that an older store of the same stage has already: copied and checked, instead of computed again.

A shard's fingerprint covers all that its values follow from: its rows, and its store's identity but for the
row set. So equal fingerprints mean equal values, and, as nothing in a shard's objects tells its place, equal
bytes, wherever in its store each shard stands. Only its commit record is written anew, last, in one step.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage import locations
from storage.errors import DamagedStoreError
from storage.identity import Identity, digest
from storage.store.latent_store import LatentStore
from storage.store.layout import LAYOUT_VERSION, MANIFEST, commit_path, committed_shards
from storage.store.records import Record, intact_record, read_record, write_new_record
from storage.store.verification import values_checksum

LOGGER = logging.getLogger(__name__)
COPIERS = 8  # shards at once: each waits for the server most of the time, and holds one array in memory


@dataclass(frozen=True)
class Source:
    """A committed shard of another store."""

    url: str
    shard: int


def shard_fingerprints(identity: Identity, rows: list[str]) -> list[str]:
    """``identity``: the store's, without its row set. ``rows``: the fingerprint of each shard's rows."""
    return [digest([LAYOUT_VERSION, identity.fingerprint, fingerprint]) for fingerprint in rows]


def find_sources(url: str, fingerprints: list[str]) -> dict[int, Source]:
    """Shard -> where to copy it from, of those that are not committed at ``url`` but are in a store beside it.

    ``fingerprints``: of all shards of the store at ``url``, which need not exist yet.
    """
    stage_url, name = locations.make_absolute(url).rsplit("/", 1)
    committed = committed_shards(url)
    missing = {key: shard for shard, key in enumerate(fingerprints) if shard not in committed}
    others = [other for other in locations.list_names(stage_url) if other != name] if missing else []
    sources: dict[int, Source] = {}
    for other in (locations.join(stage_url, other) for other in others):
        for record in _committed_records(other):
            if record.get("fingerprint") in missing:
                sources.setdefault(missing[record["fingerprint"]], Source(other, record["shard"]))
    return sources


def copy_shards(store: LatentStore, fingerprints: list[str]) -> Iterator[int]:
    """Copy and commit what ``find_sources`` finds; yields the number of each shard once it is committed.

    A shard whose source is damaged is left to be computed; the log names the damaged object.
    """
    sources = find_sources(store.url, fingerprints)
    others = dict(_opened({source.url for source in sources.values()}))
    shards = [shard for shard, source in sources.items() if source.url in others]

    def copied(shard: int) -> bool:
        source = sources[shard]
        return _copied(store, shard, others[source.url], source.shard)

    with ThreadPoolExecutor(COPIERS) as pool:
        yield from (shard for shard, whole in zip(shards, pool.map(copied, shards), strict=True) if whole)


def _committed_records(url: str) -> list[Record]:
    """One a committed shard: out of the manifest or, where the store is not sealed, the commit records."""
    if locations.exists(locations.join(url, MANIFEST)):
        manifest = intact_record(locations.read_bytes(locations.join(url, MANIFEST)))
        return manifest["shards"] if manifest else []
    commits = [locations.join(url, commit_path(shard)) for shard in sorted(committed_shards(url))]
    records = map(intact_record, locations.read_many(commits))
    return [record for record in records if record]


def _opened(urls: Iterable[str]) -> Iterator[tuple[str, LatentStore]]:
    """Those that can be opened."""
    for url in urls:
        try:
            yield url, LatentStore.open(url, allow_unsealed=True)
        except DamagedStoreError as error:
            LOGGER.warning("no shard of %s is copied: %s", url, error)


def _copied(store: LatentStore, shard: int, other: LatentStore, source: int) -> bool:
    try:
        _copy_shard(store, shard, other, source)
    except (DamagedStoreError, FileNotFoundError) as error:
        LOGGER.warning("shard %d of %s is computed, not copied: %s", shard, store.url, error)
        return False
    return True


def _copy_shard(store: LatentStore, shard: int, other: LatentStore, source: int) -> None:
    """Check each object, then copy it; then the commit record. Raises DamagedStoreError.

    In this order, for what is copied may lie beside another process's commit already.
    """
    started, extent = time.time(), store.extent(shard)
    record = read_record(locations.join(other.url, commit_path(source)))
    for name, checksum in record["sha256"].items():
        there = other.object_url(name, source)
        if values_checksum(other[name], other.extent(source)) != checksum:
            raise DamagedStoreError(there)
        locations.copy(there, store.object_url(name, shard))
    moved = extent.start - record["rows"][0]
    here_only = {
        "shard": shard,
        "rows": [extent.start, extent.stop],
        "rejected": {str(int(row) + moved): reason for row, reason in record["rejected"].items()},
        "timing": {"seconds": time.time() - started},
        "copied_from": other.url,
    }
    write_new_record(locations.join(store.url, commit_path(shard)), {**record, **here_only})
