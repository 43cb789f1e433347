"""One method of store_speed, in a process of its own: writes the samples, then reads them in every way.

    python -m tests.benchmarks.store_method NAME FOLDER SAMPLES RANDOM LATENTS.npy

Prints one JSON object: seconds of each operation. Imports no library that it does not measure.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.store_methods import BATCH, Files, MemoryMap, MemoryMapShuffled, Ours
from tests.benchmarks.store_peers import Lit, Mosaic, Tars
from tests.support.memory import peak_mib

METHODS: dict[str, Any] = {
    "latentcrf": Ours,
    "memory map": MemoryMap,
    "memory map, all rows mixed": MemoryMapShuffled,
    "MosaicML Streaming": Mosaic,
    "WebDataset": Tars,
    "LitData": Lit,
    ".pt files": Files,
}


def forget(folder: str) -> None:
    """Let the page cache forget every file, so that the next read is the disk's."""
    os.sync()
    for path in Path(folder).rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def read_epoch(method: Any, workers: int) -> None:
    count = 0
    for batch_BHWC in method.epoch(workers):
        assert batch_BHWC.dtype == torch.float16
        count += len(batch_BHWC.permute(0, 3, 1, 2))
    assert count >= method.count // BATCH * BATCH, f"{count} samples"


def measure(name: str, folder: str, count: int, random_count: int, latents: str) -> dict[str, float]:
    method = METHODS[name](folder, count)

    def write(source: np.ndarray) -> None:
        method.write(source)
        os.sync()  # until it is on the disk

    source = np.load(latents)
    os.sync()
    found = {"write": seconds(lambda: write(source))}
    forget(folder)
    found["epoch, cold"] = seconds(lambda: read_epoch(method, 0))
    found["epoch, warm"] = seconds(lambda: read_epoch(method, 0))
    found["epoch, warm, 1 worker"] = seconds(lambda: read_epoch(method, 1))
    if hasattr(method, "getter"):
        rows = np.random.default_rng(1).integers(0, count, random_count).tolist()
        forget(folder)
        found["open and first sample, cold"] = seconds(lambda: method.getter()(rows[0]))
        found["open and first sample, warm"] = seconds(lambda: method.getter()(rows[0]))
        get = method.getter()
        forget(folder)
        found["a random sample, cold"] = seconds(lambda: [get(row) for row in rows]) / random_count
        found["a random sample, warm"] = seconds(lambda: [get(row) for row in rows]) / random_count
    found["peak MiB"] = peak_mib()
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])))
