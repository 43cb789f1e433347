"""The samples, the store and what needs no library to write and to read them. See store_method.py."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROW, SHARD_ROWS, BATCH, MIXED = (64, 64, 8), 512, 256, 16 * 512
DISTINCT = 4 * SHARD_ROWS
Batches = Iterator[torch.Tensor]


def latents() -> np.ndarray:
    """(DISTINCT, 64, 64, 8) float16 of unit variance whose spectrum falls as that of a VAE's latents: 1/(f + 4).

    In memory while the methods write, who write them again and again; none of them looks for repetitions.
    """
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)[None]) * 64
    parts = []
    for _ in range(DISTINCT // 128):
        white = np.fft.rfft2(random.standard_normal((128, 8, 64, 64), dtype=np.float32))
        smooth = np.fft.irfft2(white / (frequency + 4)).transpose(0, 2, 3, 1)
        parts.append((smooth / smooth.std()).astype(np.float16, order="C"))
    return np.concatenate(parts)


def samples(source: np.ndarray, count: int) -> Iterator[np.ndarray]:
    return (source[number % DISTINCT] for number in range(count))


class Ours:
    """storage.LatentStore; rows are mixed over 16 to 32 shards around them."""

    def __init__(self, folder: str, count: int) -> None:
        import pandas  # noqa: F401  # as pyarrow does with its first table; importing counts for nobody

        from storage import LatentStore
        from storage.store import reader

        self.folder, self.count, self.store, self.reader = f"{folder}/store", count, LatentStore, reader

    def write(self, source: np.ndarray) -> None:
        from storage import ArraySpec
        from storage.store.index import index_tables

        rows = ({"id": f"{n:06d}", "caption": f"caption {n}", "uri": "", "sha256": ""} for n in range(self.count))
        store = self.store.create(
            self.folder,
            {"latents": ArraySpec.latent(*ROW)},
            index_tables(rows, SHARD_ROWS),
            shard_rows=SHARD_ROWS,
            provenance={},
        )
        for shard in range(store.shard_count):
            number = min(SHARD_ROWS, self.count - shard * SHARD_ROWS)
            start = shard * SHARD_ROWS % DISTINCT
            flags: dict[str, Any] = {"valid": np.ones(number, bool), "seed": np.zeros(number, np.uint64)}
            store.write_shard(shard, {"latents": source[start : start + number]}, **flags, rejected={}, timing={})
        store.seal()

    def epoch(self, workers: int) -> Batches:
        batches = self.reader.shuffled_batches(self.store.open(self.folder), ["latents"], BATCH, seed=0)
        if not workers:
            return (torch.from_numpy(batch["latents"]) for batch in islice(batches, self.count // BATCH))

        class InWorker(torch.utils.data.IterableDataset[torch.Tensor]):
            def __iter__(self) -> Batches:
                return (torch.from_numpy(batch["latents"]) for batch in batches)

        return islice(
            iter(torch.utils.data.DataLoader(InWorker(), batch_size=None, num_workers=1)), self.count // BATCH
        )

    def getter(self) -> Callable[[int], Any]:
        store = self.store.open(self.folder)
        return lambda row: store.value("latents", row)


class MemoryMap:
    """The limit: one raw file; rows are mixed just as ours."""

    def __init__(self, folder: str, count: int) -> None:
        self.file, self.count = f"{folder}/raw", count

    def write(self, source: np.ndarray) -> None:
        with open(self.file, "wb") as file:
            for start in range(0, self.count, SHARD_ROWS):
                number = min(SHARD_ROWS, self.count - start)
                file.write(source[start % DISTINCT : start % DISTINCT + number].data)

    def order(self) -> np.ndarray:
        """By its definition in storage.reader, with one worker."""
        rows = np.arange(self.count)
        place = np.random.default_rng([0, 0]).permutation(-(-self.count // SHARD_ROWS))[rows // SHARD_ROWS]
        dealt = np.argsort(place, kind="stable")
        times = np.maximum(place[dealt] - 16, 0) + 16 * np.random.default_rng([0, 0, 0]).random(self.count)
        return rows[dealt][np.argsort(times, kind="stable")]

    def epoch(self, workers: int) -> Batches:
        rows = self.order()[: self.count // BATCH * BATCH].reshape(-1, BATCH)
        mapped = np.memmap(self.file, np.float16, "r", shape=(self.count, *ROW))
        if not workers:
            return (torch.from_numpy(mapped[batch]) for batch in rows)

        class InWorker(torch.utils.data.IterableDataset[torch.Tensor]):
            def __iter__(self) -> Batches:
                return (torch.from_numpy(mapped[batch]) for batch in rows)

        return iter(torch.utils.data.DataLoader(InWorker(), batch_size=None, num_workers=1))

    def getter(self) -> Callable[[int], Any]:
        mapped = np.memmap(self.file, np.float16, "r", shape=(self.count, *ROW))
        return lambda row: np.array(mapped[row])


class MemoryMapShuffled(MemoryMap):
    """The same file, every row mixed with every other."""

    def order(self) -> np.ndarray:
        return np.random.default_rng(0).permutation(self.count)


class Files(torch.utils.data.Dataset[torch.Tensor]):
    """One .pt file a sample, every row mixed with every other."""

    def __init__(self, folder: str, count: int) -> None:
        self.folder, self.count = Path(folder), count

    def write(self, source: np.ndarray) -> None:
        for number, sample in enumerate(samples(source, self.count)):
            torch.save(torch.from_numpy(sample.copy()), self.folder / f"{number:06d}.pt")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.load(self.folder / f"{row:06d}.pt")

    def epoch(self, workers: int) -> Batches:
        return iter(torch.utils.data.DataLoader(self, BATCH, shuffle=True, num_workers=workers, drop_last=True))

    def getter(self) -> Callable[[int], Any]:
        return self.__getitem__
