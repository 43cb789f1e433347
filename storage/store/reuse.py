"""Copy and check shards from other stores of the same stage, instead of computing them again.

A shard's fingerprint covers everything that its values depend on: its rows, and its store's identity without the
row set. So equal fingerprints mean equal values, and equal bytes, because nothing in a shard's objects depends on the
shard's number. Only the commit record is new. It is written last, in one step.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from storage import locations
from storage.errors import DamagedStoreError, NewerVersionError
from storage.identity import Identity, digest
from storage.records import parse_record, read_record, write_new_record
from storage.seals import MANIFEST, is_sealed
from storage.store.latent_store import LatentStore
from storage.store.layout import LAYOUT_VERSION, list_committed_shards, make_commit_path
from storage.store.records import CommitRecord, ShardRecord, StoreManifest
from storage.store.verification import hash_values

LOGGER = logging.getLogger(__name__)
COPIERS = 8  # threads: each mostly waits for the server, and holds one array of a shard in memory


@dataclass(frozen=True)
class Source:
    """A committed shard of another store."""

    url: str
    shard: int


def fingerprint_shards(identity: Identity, rows: list[str]) -> list[str]:
    """Compute the fingerprint of each shard of a store.

    ``identity``: the store's identity without its row set. ``rows``: the fingerprint of each shard's rows.
    """
    return [digest([LAYOUT_VERSION, identity.fingerprint, fingerprint]) for fingerprint in rows]


def find_sources(url: str, fingerprints: list[str]) -> dict[int, Source]:
    """Find other stores' shards to copy into the store at ``url``: uncommitted shard -> where to copy it from.

    ``fingerprints``: the fingerprints of all shards of the store at ``url``, which need not exist yet.
    """
    stage_url, name = locations.make_absolute(url).rsplit("/", 1)
    committed = list_committed_shards(url)
    missing = {key: shard for shard, key in enumerate(fingerprints) if shard not in committed}
    others = [other for other in locations.list_names(stage_url) if other != name] if missing else []
    sources: dict[int, Source] = {}
    for other in (locations.join(stage_url, other) for other in others):
        for record in _list_committed(other):
            if record.fingerprint in missing:
                sources.setdefault(missing[record.fingerprint], Source(other, record.shard))
    return sources


def copy_shards(store: LatentStore, fingerprints: list[str]) -> Iterator[int]:
    """Copy and commit the shards that ``find_sources`` finds. Yields the number of each shard once it is committed.

    Skips a shard whose source is damaged, and logs the damaged object. The stage then computes the shard.
    """
    sources = find_sources(store.url, fingerprints)
    others = dict(_open_stores({source.url for source in sources.values()}))
    shards = [shard for shard, source in sources.items() if source.url in others]

    def copy(shard: int) -> bool:
        source = sources[shard]
        return _try_copy(store, shard, others[source.url], source.shard)

    with ThreadPoolExecutor(COPIERS) as pool:
        yield from (shard for shard, copied in zip(shards, pool.map(copy, shards), strict=True) if copied)


def _list_committed(url: str) -> Sequence[ShardRecord]:
    """Read one record per committed shard, from the manifest if the store is sealed. Skips damaged records."""
    try:
        if is_sealed(url):
            place = locations.join(url, MANIFEST)
            manifest = parse_record(locations.read_bytes(place), StoreManifest, place)
            return manifest.shards if manifest else []
        commits = [locations.join(url, make_commit_path(shard)) for shard in sorted(list_committed_shards(url))]
        read = zip(commits, locations.read_many(commits), strict=True)
        records = [parse_record(data, CommitRecord, place) for place, data in read]
        return [record for record in records if record]
    except NewerVersionError as error:
        LOGGER.warning("no shard of %s is copied: %s", url, error)
        return []


def _open_stores(urls: Iterable[str]) -> Iterator[tuple[str, LatentStore]]:
    """Yield the URL and the store of each URL that can be opened."""
    for url in urls:
        try:
            yield url, LatentStore.open(url, allow_unsealed=True)
        except (DamagedStoreError, NewerVersionError) as error:
            LOGGER.warning("no shard of %s is copied: %s", url, error)


def _try_copy(store: LatentStore, shard: int, other: LatentStore, source: int) -> bool:
    """Copy a shard. Returns False if its source is damaged."""
    try:
        _copy_shard(store, shard, other, source)
    except (DamagedStoreError, FileNotFoundError) as error:
        LOGGER.warning("shard %d of %s is computed, not copied: %s", shard, store.url, error)
        return False
    return True


def _copy_shard(store: LatentStore, shard: int, other: LatentStore, source: int) -> None:
    """Check and copy each object, then write the commit record. Raises DamagedStoreError.

    Each object is checked before it is copied: another process may have committed the shard already, and readers
    trust committed shards.
    """
    started, extent = time.time(), store.extent(shard)
    record = read_record(locations.join(other.url, make_commit_path(source)), CommitRecord)
    for name, checksum in record.sha256.items():
        there = other.object_url(name, source)
        if hash_values(other[name], other.extent(source)) != checksum:
            raise DamagedStoreError(there)
        locations.copy(there, store.object_url(name, shard))
    moved = extent.start - record.rows[0]
    here = replace(
        record,
        shard=shard,
        rows=[extent.start, extent.stop],
        rejected={row + moved: reason for row, reason in record.rejected.items()},
        timing={"seconds": time.time() - started},
        copied_from=other.url,
    )
    write_new_record(locations.join(store.url, make_commit_path(shard)), here)
