"""Small latent stores: made shard by shard or as a stage makes them, and read back in full."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from storage import ArraySpec, Identity, LatentStore, locations
from storage.store.index import index_tables

SPECS = {"latents": ArraySpec.latent(4, 4, 2), "text": ArraySpec.vector(3)}
# The store of ``make_store``; row 3 is rejected.
ROWS, SHARD_ROWS, SHARDS = 8, 3, 3
IDENTITY = Identity("encode", 1, {"images": "ab12"}, {"size": 32, "shard_rows": 3})

COMMIT_RECORD = re.compile(r"commits/\d{5}\.json")
HOW_IT_WAS_MADE = ("timing", "copied_from", "digest")  # the digest covers the other two


def make_rows(count: int) -> list[dict[str, str | None]]:
    return [
        {"id": f"id-{i}", "caption": f"caption {i}", "uri": f"file-{i}", "checksum": f"sha256:{i:064x}", "reason": None}
        for i in range(count)
    ]


def make_values(count: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "latents": random.standard_normal((count, 4, 4, 2)).astype(np.float16),
        "text": random.standard_normal((count, 3)).astype(np.float16),
    }


def create_store(url: str, count: int, shard_rows: int) -> LatentStore:
    """Create an empty store for ``count`` rows."""
    tables = index_tables(make_rows(count), shard_rows)
    return LatentStore.create(url, SPECS, tables, shard_rows=shard_rows, provenance={"stage": "test"})


def fill_shard(store: LatentStore, shard: int, seed: int = 0) -> dict[str, Any]:
    """Write random values, all of them valid, into a shard; return the values."""
    extent = store.extent(shard)
    count = extent.stop - extent.start
    arrays = make_values(count, seed + shard)
    store.write_shard(
        shard, arrays, valid=np.ones(count, bool), seed=np.arange(count, dtype=np.uint64), rejected={}, timing={}
    )
    return arrays


def make_store(root: str | Path) -> str:
    """Do what a stage does: write the identity, create the store, fill what is missing, seal. Return its URL."""
    IDENTITY.write(str(root))
    url = IDENTITY.url(str(root))
    store = create_store(url, ROWS, SHARD_ROWS)
    for shard in sorted(set(range(SHARDS)) - store.committed()):
        extent = store.extent(shard)
        count = extent.stop - extent.start
        arrays = make_values(count, shard)
        valid = np.ones(count, bool)
        rejected = {extent.start: "empty: 0 bytes"} if shard == 1 else {}
        for row in rejected:
            valid[row - extent.start] = False
            arrays["latents"][row - extent.start] = np.nan
        seed = np.arange(extent.start, extent.stop, dtype=np.uint64) + 7
        store.write_shard(shard, arrays, valid=valid, seed=seed, rejected=rejected, timing={})
    locations.write_bytes(f"{url}/report.json", b'{"rows": []}')
    store.seal(["report.json"])
    return url


def read_objects(url: str | Path) -> dict[str, bytes]:
    """Read every object below a URL: its path from there -> its bytes."""
    return {path: locations.read_bytes(locations.join(str(url), path)) for path in locations.find(str(url))}


def read_content(url: str | Path) -> dict[str, bytes]:
    """Read every object, but drop from the commit records what says how a shard was made. Equal for equal stores."""
    objects = read_objects(url)
    for path in filter(COMMIT_RECORD.fullmatch, objects):
        record = json.loads(objects[path])
        kept = {key: record[key] for key in record if key not in HOW_IT_WAS_MADE}
        objects[path] = json.dumps(kept, sort_keys=True).encode()
    return objects


def read_store(url: str | Path) -> dict[str, Any]:
    """Read everything that a sealed store offers to its readers."""
    store = LatentStore.open(str(url))
    shards = [store.shard(shard) for shard in range(store.shard_count)]
    return {
        "index": store.index.to_pylist(),
        "rows": [store.rows(shard).to_pylist() for shard in range(store.shard_count)],
        "valid": store.valid.tolist(),
        "values": [{name: part.tobytes() for name, part in shard.items()} for shard in shards],
        "provenance": store.provenance,
        "manifest": store.manifest,
    }
