"""Other libraries read the same bytes from the same store: tensorstore, xarray, and zarrita in JavaScript."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_st

from storage import ArraySpec, LatentStore
from storage.records import compute_sha256
from storage.store.index import index_tables
from tests.support.kept_store import STORES
from tests.support.stores import make_rows

Array = np.ndarray[Any, Any]
PACKAGES = ("zarrita@0.7.5", "@petamoriken/float16@3.9.3")
NPM = (shutil.which("node") and shutil.which("npm")) or ""
NO_REGISTRY = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT")


def write(url: str, latents: Array, text: Array, seed: Array, shard_rows: int) -> LatentStore:
    specs = {"latents": ArraySpec.latent(*latents.shape[1:]), "text": ArraySpec.vector(text.shape[1])}
    tables = index_tables(make_rows(len(latents)), shard_rows)
    store = LatentStore.create(url, specs, tables, shard_rows=shard_rows, provenance={})
    for shard in range(store.shard_count):
        part = store.extent(shard)
        store.write_shard(
            shard,
            {"latents": latents[part], "text": text[part]},
            valid=np.ones(part.stop - part.start, bool),
            seed=seed[part],
            rejected={},
            timing={},
        )
    store.seal()
    return LatentStore.open(url)


def read_by_tensorstore(url: str, name: str) -> Array:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{url}/{name}"}}
    return np.asarray(tensorstore.open(spec).result().read().result())


@st.composite
def stores(draw: st.DrawFn) -> tuple[Array, Array, Array, int]:
    """Latents and vectors of any bits (NaN of every kind, infinities, subnormals), seeds, and the rows of a shard."""
    count, *sides = (draw(st.integers(1, 5)) for _ in range(4))
    any_bits = [arrays_st.arrays(np.uint16, (count, *shape)) for shape in (tuple(sides), (3,))]
    latents, text = (draw(bits).view(np.float16) for bits in any_bits)
    return latents, text, draw(arrays_st.arrays(np.uint64, count)), draw(st.integers(1, 4))


def all_of(bits: int) -> tuple[Array, Array, Array, int]:
    latents, text = (np.full(shape, bits, np.uint16).view(np.float16) for shape in ((3, 2, 2, 1), (3, 3)))
    return latents, text, np.zeros(3, np.uint64), 2


@settings(max_examples=25)
@given(stores())
@example(all_of(0x7E00))  # the fill value
@example(all_of(0xFE00))  # the NaN of an x86 processor's 0 / 0
@example(all_of(0x8000))  # -0
def test_every_reader_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[Array, Array, Array, int]
) -> None:
    latents, text, seed, shard_rows = written
    url = str(tmp_path_factory.mktemp("store") / "s")
    store = write(url, latents, text, seed, shard_rows)
    assert store.verify() == []
    dataset = store.to_xarray()
    for name, expected in {"latents": latents, "text": text, "seed": seed}.items():
        shards = np.concatenate([store.values(name, shard) for shard in range(store.shard_count)])
        found = {
            "this library": shards,
            "zarr": np.asarray(zarr.open_array(f"{url}/{name}", mode="r")[:]),
            "tensorstore": read_by_tensorstore(url, name),
            "xarray": dataset[name].to_numpy(),
        }
        for reader, values in found.items():
            assert (values.dtype, values.shape) == (expected.dtype, expected.shape), reader
            assert values.tobytes() == expected.tobytes(), reader


def test_tensorstore_names_the_dimensions() -> None:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(STORES / "v1/latents")}}
    assert tensorstore.open(spec).result().domain.labels == ("sample", "y", "x", "channel")


@pytest.mark.skipif(not NPM, reason="no node and npm on this machine; apt-get install nodejs npm")
def test_zarrita_reads_the_same_bytes(tmp_path: Path) -> None:
    folder, url = str(tmp_path), str(STORES / "v1")
    install = [NPM, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode and NO_REGISTRY.search(installed.stderr):
        pytest.skip("no npm registry in reach")
    assert installed.returncode == 0, installed.stderr
    script = shutil.copy(Path(__file__).parent / "zarrita/read.mjs", folder)  # Node looks for packages beside it
    store = LatentStore.open(url)
    for row in (3, 4, 5):
        command = ["node", script, url, str(row), "latents", "text", "valid", "seed"]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for name, read in found.items():
            expected = np.asarray(store[name][row : row + 1])
            assert read == {"shape": list(expected.shape), "sha256": compute_sha256(expected.tobytes())}, (row, name)
