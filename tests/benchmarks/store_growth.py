"""What a store's operations take, in memory and time, as its rows grow to millions: its index is simulated.

    python -m tests.benchmarks.store_growth FOLDER ROWS STAGE

The shards' commit records are written without shards. Each stage runs in a process of its own and prints
one JSON object: seconds, and peak MiB above what it began with.
"""

import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage import ArraySpec, Identity, LatentStore
from storage.outputs import find_outputs
from storage.records import write_record
from storage.store.index import SCHEMA
from storage.store.layout import make_commit_path
from storage.store.reader import EpochOrder
from storage.store.records import CommitRecord
from tests.support.memory import peak_mib

SHARD_ROWS = 512
IDENTITY = Identity("encode", 1, {"images": "0"}, {"shard_rows": SHARD_ROWS})


def tables(count: int) -> Iterator[pa.Table]:
    """Names and checksums that are no two the same, made so fast that making them hardly counts."""
    random = np.random.default_rng(0)
    for start in range(0, count, SHARD_ROWS):
        ids = pc.cast(pa.array(np.arange(start, min(start + SHARD_ROWS, count))), pa.string())
        digits = random.bytes(32 * len(ids)).hex()
        checksums = [digits[at : at + 64] for at in range(0, len(digits), 64)]
        captions = pc.binary_join_element_wise("a caption about as long as others are, number", ids, " ")
        yield pa.table([ids, captions, ids, checksums], schema=SCHEMA)


def create(url: str, count: int) -> None:
    latents = {"latents": ArraySpec.latent(64, 64, 8)}
    LatentStore.create(url, latents, tables(count), shard_rows=SHARD_ROWS, provenance={})


def commit(url: str) -> None:
    store = LatentStore.resume(url)
    store["valid"][:] = True
    for shard in range(store.shard_count):
        rows = store.extent(shard)
        record = CommitRecord(
            shard=shard,
            rows=[rows.start, rows.stop],
            fingerprint=None,
            sha256={"latents": "", "valid": "", "seed": ""},
            valid=rows.stop - rows.start,
            rejected={},
            timing={},
        )
        write_record(f"{url}/{make_commit_path(shard)}", record)


def read(url: str) -> None:
    store = LatentStore.open(url)
    store.rows(store.shard_count - 1)


def epoch(url: str) -> None:
    store = LatentStore.open(url)
    order = EpochOrder(store.valid, SHARD_ROWS, seed=0)
    assert sum(len(step.rows) for step in order.steps(0)) == len(store)


def stages(folder: str, count: int) -> dict[str, Callable[[], Any]]:
    """In the order in which they come. What stands between two counted stages makes no claim."""
    url = IDENTITY.url(folder)
    return {
        "create": lambda: create(url, count),
        "commit": lambda: commit(url),
        "committed": lambda: LatentStore.resume(url).committed(),  # what plan asks of an unfinished store
        "seal": lambda: LatentStore.resume(url).seal(),
        "open and rows of a shard": lambda: read(url),
        "an epoch's order": lambda: epoch(url),
        "ls": lambda: [(o.progress, o.age()) for o in find_outputs(folder)],
    }


def growth(folder: Path, counts: list[int]) -> dict[str, dict[str, dict[str, float]]]:
    """Rows -> stage -> seconds and MiB."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for count in counts:
        place = folder / f"growth-{count}"
        IDENTITY.write(str(place))
        for stage in stages("", 0):
            command = [sys.executable, "-m", "tests.benchmarks.store_growth", str(place), str(count), stage]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found.setdefault(str(count), {})[stage] = json.loads(printed)
        shutil.rmtree(place)
    return found


if __name__ == "__main__":
    run = stages(sys.argv[1], int(sys.argv[2]))[sys.argv[3]]
    importlib.import_module("pandas")  # as pyarrow does with its first table; importing does not count
    before, start = peak_mib(), time.perf_counter()
    run()
    print(json.dumps({"seconds": time.perf_counter() - start, "MiB": peak_mib() - before}))
