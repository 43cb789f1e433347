"""What it would cost to compress the shards: one shard of the benchmark's samples through zarr's codecs."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from storage import ArraySpec, LatentStore
from storage.store.index import index_tables
from tests.benchmarks.store_methods import ROW, SHARD_ROWS

TIMES = 4
CODECS: dict[str, list[BytesBytesCodec]] = {
    "checksums alone": [Crc32cCodec()],
    "zstd, level 1": [ZstdCodec(level=1), Crc32cCodec()],
    "blosc: zstd level 1, bits shuffled": [
        BloscCodec(typesize=2, cname="zstd", clevel=1, shuffle="bitshuffle"),
        Crc32cCodec(),
    ],
}


def codec_costs(folder: Path, source: np.ndarray) -> dict[str, dict[str, float]]:
    """Codec -> size of the raw one, and seconds to write and to read a shard: with zarr itself, and as storage does."""
    values = source[:SHARD_ROWS]
    found = {}
    for name, codecs in CODECS.items():
        shutil.rmtree(folder, ignore_errors=True)
        array = zarr.create_array(
            str(folder), shape=values.shape, dtype="float16", chunks=(1, *ROW), shards=values.shape, compressors=codecs
        )
        found[f"zarr, {name}"] = {
            "write": fastest(partial(array.set_basic_selection, slice(None), values)),
            "read": fastest(partial(array.get_basic_selection, slice(None))),
            "size": (folder / "c/0/0/0/0").stat().st_size / values.nbytes,
        }
    shutil.rmtree(folder)
    rows = ({"id": str(n), "caption": "", "uri": "", "sha256": ""} for n in range(TIMES * SHARD_ROWS))
    spec = {"latents": ArraySpec.latent(*ROW)}
    store = LatentStore.create(str(folder), spec, index_tables(rows, SHARD_ROWS), shard_rows=SHARD_ROWS, provenance={})
    flags: dict[str, Any] = {"valid": np.ones(SHARD_ROWS, bool), "seed": np.zeros(SHARD_ROWS, np.uint64)}
    shards = iter(range(TIMES))  # what is committed is not written again
    found["latentcrf, checksums alone"] = {
        "write": fastest(lambda: store.write_shard(next(shards), {"latents": values}, **flags, rejected={}, timing={})),
        "read": fastest(lambda: store.values("latents", 0)),
        "size": (folder / "latents/c/0/0/0/0").stat().st_size / values.nbytes,
    }
    shutil.rmtree(folder)
    return found


def fastest(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
