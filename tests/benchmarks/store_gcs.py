"""The store on a local server that speaks GCS, beside the same bytes fetched bare from it.

The server is a process of its own on the same machine: its work counts in every number.
"""

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.store_method import read_epoch
from tests.benchmarks.store_methods import DISTINCT, SHARD_ROWS, Ours, samples
from tests.support import servers

RANDOM = 100


class Bare:
    """The limit: objects of a shard's size, one request each, to and from memory."""

    def __init__(self, fs: Any, url: str, count: int) -> None:
        self.fs, self.url, self.count = fs, url, count

    def write(self, source: np.ndarray) -> None:
        for start in range(0, self.count, SHARD_ROWS):
            self.fs.pipe_file(f"{self.url}/{start:06d}", source[start % DISTINCT :][:SHARD_ROWS].tobytes())

    def read(self) -> None:
        for start in range(0, self.count, SHARD_ROWS):
            self.fs.cat_file(f"{self.url}/{start:06d}")

    def one(self, row: int) -> object:
        start, size = row // SHARD_ROWS * SHARD_ROWS, 1 << 16
        return self.fs.cat_file(f"{self.url}/{start:06d}", (row - start) * size, (row - start + 1) * size)


class Files(Bare):
    """One .pt object a sample."""

    def write(self, source: np.ndarray) -> None:
        for number, sample in enumerate(samples(source, self.count)):
            data = io.BytesIO()
            torch.save(torch.from_numpy(sample.copy()), data)
            self.fs.pipe_file(f"{self.url}/{number:06d}.pt", data.getvalue())

    def one(self, row: int) -> object:
        return torch.load(io.BytesIO(self.fs.cat_file(f"{self.url}/{row:06d}.pt")))

    def read(self) -> None:
        for row in np.random.default_rng(0).permutation(self.count).tolist():
            self.one(row)


def gcs_speed(folder: Path, source: np.ndarray, count: int, rounds: int) -> dict[str, dict[str, float]]:
    from storage.google import GoogleStorage

    rows = np.random.default_rng(1).integers(0, count, RANDOM).tolist()
    best: dict[str, dict[str, float]] = {}

    def timed(name: str, operation: str, run: Callable[[], object], units: int = 1) -> None:
        start = time.perf_counter()
        run()
        held = best.setdefault(name, {})
        held[operation] = min(held.get(operation, float("inf")), (time.perf_counter() - start) / units)

    url = "gs://bucket"
    with servers.serve_gcs(folder) as address, servers.options("gs", **servers.gs_options(address)):
        fs = GoogleStorage(**servers.gs_options(address))
        for number in range(rounds):
            store = Ours(f"{url}/{number}/ours", count)
            timed("latentcrf", "write", lambda: store.write(source))  # noqa: B023
            timed("latentcrf", "epoch", lambda: read_epoch(store, 0))  # noqa: B023
            get = store.getter()
            timed("latentcrf", "a random sample", lambda: [get(row) for row in rows], RANDOM)  # noqa: B023
            for name, kind in {"bare requests": Bare, ".pt objects": Files}.items():
                method = kind(fs, f"bucket/{number}/{kind.__name__}", count)
                timed(name, "write", lambda: method.write(source))  # noqa: B023
                timed(name, "epoch", method.read)
                timed(name, "a random sample", lambda: [method.one(row) for row in rows], RANDOM)  # noqa: B023
    shutil.rmtree(folder)
    return best
