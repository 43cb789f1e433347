"""Libraries that are made for data sets such as a latent store's. See store_method.py."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tests.benchmarks.store_methods import BATCH, MIXED, ROW, SHARD_ROWS, Batches, samples


def without_torchvision() -> None:
    """streaming imports it for image sets, which are not measured; of torch 2.13's there is no build without CUDA."""
    wanted = {"torchvision": "", "torchvision.datasets": "VisionDataset"}
    wanted |= {"torchvision.transforms": "", "torchvision.transforms.functional": "to_tensor"}
    for name, attribute in wanted.items():
        module = sys.modules[name] = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        setattr(module, attribute or "__path__", type(attribute, (), {}) if attribute else [])


class Mosaic:
    """MosaicML Streaming: MDS shards of 32 MiB, its default shuffle (py1e), which here mixes all rows."""

    def __init__(self, folder: str, count: int) -> None:
        without_torchvision()
        import streaming

        streaming.base.util.clean_stale_shared_memory()
        self.folder, self.count, self.streaming = folder, count, streaming

    def write(self, source: np.ndarray) -> None:
        columns = {"latents": f"ndarray:float16:{','.join(map(str, ROW))}"}
        with self.streaming.MDSWriter(out=self.folder, columns=columns, size_limit=1 << 25) as out:
            for sample in samples(source, self.count):
                out.write({"latents": sample})

    def open(self) -> Any:
        return self.streaming.StreamingDataset(local=self.folder, shuffle=True, shuffle_seed=0, batch_size=BATCH)

    def epoch(self, workers: int) -> Batches:
        loader = torch.utils.data.DataLoader(self.open(), BATCH, num_workers=workers, drop_last=True)
        return (batch["latents"] for batch in loader)

    def getter(self) -> Callable[[int], Any]:
        data = self.open()
        return lambda row: data[row]["latents"]


class Tars:
    """WebDataset: tars of 512 .npy files in random order, rows mixed in a buffer of 8192. No single samples."""

    def __init__(self, folder: str, count: int) -> None:
        import webdataset

        self.folder, self.count, self.webdataset = folder, count, webdataset

    def write(self, source: np.ndarray) -> None:
        with self.webdataset.ShardWriter(f"{self.folder}/%05d.tar", maxcount=SHARD_ROWS, verbose=0) as out:
            for number, sample in enumerate(samples(source, self.count)):
                out.write({"__key__": f"{number:06d}", "npy": sample})

    def epoch(self, workers: int) -> Batches:
        return self.batches(sorted(str(path) for path in Path(self.folder).glob("*.tar")), workers)

    def batches(self, urls: list[str], workers: int) -> Batches:
        wds = self.webdataset
        data = wds.WebDataset(urls, shardshuffle=len(urls), seed=0, empty_check=False).shuffle(MIXED, initial=MIXED)
        loader = wds.WebLoader(data.decode().to_tuple("npy").batched(BATCH), batch_size=None, num_workers=workers)
        return (torch.as_tensor(batch) for (batch,) in loader)


class Lit:
    """LitData: chunks of 32 MiB, its own shuffle: chunks in random order, rows mixed within a chunk."""

    def __init__(self, folder: str, count: int) -> None:
        import litdata

        self.folder, self.count, self.litdata = folder, count, litdata

    def write(self, source: np.ndarray) -> None:
        from litdata.streaming.cache import Cache

        cache = Cache(self.folder, chunk_bytes=1 << 25)
        for number, sample in enumerate(samples(source, self.count)):
            cache[number] = torch.from_numpy(sample)
        cache.done()
        cache.merge()

    def epoch(self, workers: int) -> Batches:
        data = self.litdata.StreamingDataset(self.folder, shuffle=True, drop_last=True)
        return iter(self.litdata.StreamingDataLoader(data, batch_size=BATCH, num_workers=workers, drop_last=True))

    def getter(self) -> Callable[[int], Any]:
        data = self.litdata.StreamingDataset(self.folder)
        return lambda row: data[row]
