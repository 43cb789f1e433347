"""The functions that Ray Data maps over blocks. A block is one part of a shard: a dict of columns, one array each.

Keep the imports light: every worker process pays for them.
"""

import time
from typing import Any

import numpy as np

from crf.noise import derive_seed
from flows.shards.model import Block
from flows.workers.reports import Reporter, report_warnings
from storage import LatentStore
from storage.inputs.decoding import decode_apart
from storage.inputs.images import read_images
from storage.inputs.rows import RejectedImageError


class ReadRows:
    """Read a part's rows from the store's index. Rejected rows have ``valid`` False and a ``reason``.

    Takes a block with one ``Part``, a column for each of its attributes.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, block: Block) -> Block:
        [shard], [start], [stop] = block["shard"], block["start"], block["stop"]
        store = LatentStore.open(self.url, allow_unsealed=True)
        count = int(stop - start)
        table = store.rows(int(shard)).slice(int(start) - store.extent(int(shard)).start, count)
        columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in ("id", "caption", "uri")}
        reasons = [reason or "" for reason in table["reason"].to_pylist()]
        valid = np.array([not reason for reason in reasons])
        columns["caption"][~valid] = ""  # a rejected caption may be too long for a tokenizer
        return {
            "row": np.arange(start, stop),
            "started": np.full(count, time.time()),
            "valid": valid,
            "reason": np.array(reasons, dtype=object),
            "seed": np.zeros(count, dtype=np.uint64),
            **columns,
        }


class WriteShard:
    """Write a computed block, a whole shard, with its commit record; return a block with the shard's number.

    ``fingerprints``: of all shards of the store. ``reporter``: gets this process's warnings.
    """

    def __init__(self, url: str, fingerprints: list[str], reporter: Reporter | None = None) -> None:
        self.url, self.fingerprints, self.reporter = url, fingerprints, reporter

    def __call__(self, block: Block) -> Block:
        with report_warnings(self.reporter):
            return self.write(block)

    def write(self, block: Block) -> Block:
        store = LatentStore.resume(self.url)
        shard = int(block["row"][0]) // store.shard_rows
        extent = store.extent(shard)
        if list(block["row"]) != list(range(extent.start, extent.stop)):
            raise ValueError(
                f"expected the rows of shard {shard} of {self.url}, found others; check the order of the blocks"
            )
        valid = np.asarray(block["valid"], dtype=bool)
        store.write_shard(
            shard,
            {name: block[name] for name in store.names},
            valid=valid,
            seed=block["seed"],
            rejected={int(row): str(block["reason"][i]) for i, row in enumerate(block["row"]) if not valid[i]},
            timing={
                "seconds": time.time() - float(min(block["started"])),
                "device_seconds": float(block["device_seconds"].sum()),
            },
            fingerprint=self.fingerprints[shard],
            note=describe_halving(block),
        )
        return {"shard": np.array([shard])}


def describe_halving(block: Block) -> str | None:
    """Tell if the device's memory did not hold the micro-batch: rows in smaller ones may differ in their last bits."""
    sizes = sorted(set(block.get("halved_to", [])) - {0})
    return f"micro-batches of {', '.join(map(str, sizes))} for want of memory" if sizes else None


class DecodeImages:
    """Add the column ``image``, uint8 (B, size, size, 3). Rows whose image cannot be decoded become rejected rows."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, block: Block) -> Block:
        images = np.full((len(block["row"]), self.size, self.size, 3), 255, dtype=np.uint8)
        places = np.flatnonzero(block["valid"])
        for place, data in zip(places, read_images(list(block["uri"][places])), strict=True):
            try:
                images[place] = decode_apart(data, self.size)
            except RejectedImageError as error:
                block["valid"][place], block["reason"][place] = False, str(error)
        return {**block, "image": images}


class SeedRows:
    """Set each row's seed from the run's seed and the row's id."""

    def __init__(self, run_seed: int) -> None:
        self.run_seed = run_seed

    def __call__(self, block: Block) -> Block:
        seeds = np.array([derive_seed(self.run_seed, str(name)) for name in block["id"]], dtype=np.uint64)
        return {**block, "seed": seeds}


class Chain:
    """Apply functions one after another in one Ray operator, so that no block moves between them.

    ``reporter``: gets this process's warnings.
    """

    def __init__(self, *functions: Any, reporter: Reporter | None = None) -> None:
        self.functions, self.reporter = functions, reporter

    def __call__(self, block: Block) -> Block:
        with report_warnings(self.reporter):
            for function in self.functions:
                block = function(block)
        return block
