import json
import logging
import zlib
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Identity, LatentStore
from storage.identity import fingerprint_rows
from storage.store.index import index_tables
from storage.store.reuse import Source, copy_shards, find_sources, fingerprint_shards
from storage.store.verification import verify
from tests.support.stores import SPECS, read_content

SHARD_ROWS = 3
REJECTED = "bad"


def add_caption(*captions: str) -> list[dict[str, str]]:
    return [
        {"id": f"id-{n}", "caption": text, "uri": f"at {n}", "checksum": "", "reason": ""}
        for n, text in enumerate(captions)
    ]


def set_of(count: int) -> list[dict[str, str]]:
    return add_caption(*(REJECTED if number % 4 == 3 else f"caption {number}" for number in range(count)))


def planned(root: str, rows: list[dict[str, str]], guidance: float = 7.5) -> tuple[Identity, list[str]]:
    """What a stage knows before it starts: the identity, and each shard's fingerprint."""
    captions = fingerprint_rows(rows, SHARD_ROWS)
    inputs = {"captions": captions.fingerprint, "teacher.unet": "ab12"}
    identity = Identity("teach", 1, inputs, {"guidance": guidance, "shard_rows": SHARD_ROWS})
    return identity, fingerprint_shards(identity.without("captions"), captions.shards)


def compute(store: LatentStore, shard: int, fingerprint: str) -> None:
    """What a row holds follows from its identity alone."""
    rows, first = store.rows(shard).to_pylist(), store.extent(shard).start
    seed = np.array([zlib.crc32(f"{row['id']} {row['caption']}".encode()) for row in rows], np.uint64)
    valid = np.array([row["caption"] != REJECTED for row in rows])
    drawn = [np.random.default_rng(int(number)).standard_normal(35) for number in seed]
    arrays = {"latents": np.stack(drawn)[:, :32].reshape(-1, 4, 4, 2), "text": np.stack(drawn)[:, 32:]}
    for values in arrays.values():
        values[~valid] = np.nan
    rejected = {first + place: "no image" for place in np.flatnonzero(~valid).tolist()}
    store.write_shard(
        shard, arrays, valid=valid, seed=seed * valid, rejected=rejected, timing={}, fingerprint=fingerprint
    )


def begin(root: str, rows: list[dict[str, str]], **parameters: float) -> tuple[LatentStore, list[str]]:
    identity, fingerprints = planned(root, rows, **parameters)
    identity.write(root)
    tables = index_tables(rows, SHARD_ROWS)
    store = LatentStore.create(identity.url(root), SPECS, tables, shard_rows=SHARD_ROWS, provenance={"stage": "teach"})
    return store, fingerprints


def run(root: str, rows: list[dict[str, str]], **parameters: float) -> tuple[str, list[int]]:
    """What a stage does. -> its store, and the shards that it computed."""
    store, fingerprints = begin(root, rows, **parameters)
    copied = list(copy_shards(store, fingerprints))
    rest = sorted(set(range(store.shard_count)) - store.committed())
    assert not set(copied) & set(rest)
    for shard in rest:
        compute(store, shard, fingerprints[shard])
    store.seal()
    return store.url, rest


CAPTIONS = st.lists(st.sampled_from(["a", "b", REJECTED]), min_size=1, max_size=3 * SHARD_ROWS + 1)


@settings(max_examples=25)
@given(older=st.lists(CAPTIONS, max_size=2), now=CAPTIONS, kept=st.integers(0, 10))
def test_just_the_shards_that_no_older_store_has_are_computed(
    tmp_path_factory: pytest.TempPathFactory, older: list[list[str]], now: list[str], kept: int
) -> None:
    """``now``'s first rows are the oldest set's. The result is, byte for byte, what a fresh computation gives."""
    now = [*(older[0][:kept] if older else []), *now[kept:]] or ["a"]
    root, fresh = (str(tmp_path_factory.mktemp(name)) for name in ("root", "fresh"))
    for captions in older:
        run(root, add_caption(*captions))

    def shards(captions: list[str]) -> list[tuple[tuple[str, str], ...]]:
        rows = [(row["id"], row["caption"]) for row in add_caption(*captions)]
        return [tuple(rows[start : start + SHARD_ROWS]) for start in range(0, len(rows), SHARD_ROWS)]

    had = {shard for captions in older for shard in shards(captions)}
    url, computed = run(root, add_caption(*now))
    if now not in older:
        assert computed == [number for number, shard in enumerate(shards(now)) if shard not in had]
    assert read_content(url) == read_content(run(fresh, add_caption(*now))[0])
    assert verify(url) == []


def test_a_set_that_grew_computes_its_last_and_new_shards(tmp_path: Path) -> None:
    old, _ = run(str(tmp_path), set_of(11))
    grown = set_of(17)
    identity, fingerprints = planned(str(tmp_path), grown)
    assert find_sources(identity.url(str(tmp_path)), fingerprints) == {n: Source(old, n) for n in (0, 1, 2)}
    assert run(str(tmp_path), grown)[1] == [3, 4, 5]


def test_one_changed_caption_computes_one_shard(tmp_path: Path) -> None:
    run(str(tmp_path), set_of(11))
    changed = set_of(11)
    changed[4]["caption"] = "another"
    assert run(str(tmp_path), changed)[1] == [1]


def test_another_parameter_computes_everything(tmp_path: Path) -> None:
    run(str(tmp_path), set_of(8))
    assert run(str(tmp_path), set_of(8), guidance=3)[1] == [0, 1, 2]


@pytest.mark.parametrize("order", [[6, 7, 8, 0, 1, 2, 3, 4, 5], [3, 4, 5, 9, 10], [9, 10]])
def test_shards_at_other_places_bring_their_rejected_rows_along(tmp_path: Path, order: list[int]) -> None:
    rows = set_of(11)
    run(str(tmp_path / "root"), rows)
    moved = [rows[number] for number in order]
    url, computed = run(str(tmp_path / "root"), moved)
    assert computed == []
    assert read_content(url) == read_content(run(str(tmp_path / "fresh"), moved)[0])
    reasons = LatentStore.open(url).index["reason"].to_pylist()
    assert [reason is not None for reason in reasons] == [row["caption"] == REJECTED for row in moved]


def test_what_an_unfinished_store_has_committed_is_copied_too(tmp_path: Path) -> None:
    unfinished, fingerprints = begin(str(tmp_path), set_of(9))
    compute(unfinished, 1, fingerprints[1])
    (Path(unfinished.url) / "text/c/2").mkdir(parents=True)
    (Path(unfinished.url) / "text/c/2/0").write_bytes(b"half of a shard that was never committed")
    url, computed = run(str(tmp_path), set_of(10))
    assert computed == [0, 2, 3]
    record = json.loads((Path(url) / "commits/00001.json").read_text())
    assert record["copied_from"] == unfinished.url


DAMAGE = ["latents/c/1/0/0/0", "valid/c/1", "seed/c/1", "commits/00001.json"]


@pytest.mark.parametrize("how", ["flipped", "emptied", "removed"])
@pytest.mark.parametrize("path", DAMAGE)
def test_damage_is_not_copied_but_named_and_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, how: str
) -> None:
    old, _ = run(str(tmp_path / "root"), set_of(9))
    file = Path(old) / path
    whole = file.read_bytes()
    if how == "removed":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "emptied" else bytes([whole[0] ^ 1, *whole[1:]]))
    with caplog.at_level(logging.WARNING):
        url, computed = run(str(tmp_path / "root"), set_of(12))
    assert computed == [1, 3]
    assert str(file) in caplog.text
    assert read_content(url) == read_content(run(str(tmp_path / "fresh"), set_of(12))[0])


def test_a_damaged_manifest_only_offers_nothing(tmp_path: Path) -> None:
    old, _ = run(str(tmp_path), set_of(6))
    manifest = Path(old) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[1:])
    assert run(str(tmp_path), set_of(9))[1] == [0, 1, 2]


def test_stopped_between_copies_goes_on_with_the_rest(tmp_path: Path) -> None:
    run(str(tmp_path), set_of(30))
    store, fingerprints = begin(str(tmp_path), set_of(31))
    next(copy_shards(store, fingerprints))  # nobody asks for the others, so the copying ends here
    done = store.committed()
    assert {shard for shard in range(10) if shard in find_sources(store.url, fingerprints)} == set(range(10)) - done
    assert run(str(tmp_path), set_of(31))[1] == [10]


class CannotCopy(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A server that only stores and returns."""

    protocol = "nocopy"
    store: dict[str, Any] = {}  # noqa: RUF012  (as MemoryFileSystem's)
    pseudo_dirs = [""]  # noqa: RUF012

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("protocol", ["memory", "nocopy"])
def test_on_other_filesystems(tmp_path: Path, protocol: str) -> None:
    fsspec.register_implementation("nocopy", CannotCopy, clobber=True)
    root = f"{protocol}://reuse/{tmp_path.name}"
    run(root, set_of(8))
    url, computed = run(root, set_of(11))
    assert computed == [2, 3]
    assert read_content(url) == read_content(run(str(tmp_path), set_of(11))[0])
