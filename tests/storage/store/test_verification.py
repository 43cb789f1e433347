import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import DamagedStoreError, LatentStore, UserError
from storage.seals import TrainingManifest, seal_output
from storage.store.verification import CHANGED, FOREIGN, MISSING, Problem, repair, verify
from tests.support.stores import make_store, read_objects, read_store


@contextmanager
def flipped(file: Path, bit: int) -> Iterator[None]:
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    try:
        yield
    finally:
        file.write_bytes(whole)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_store(tmp_path_factory.mktemp("root")))


@pytest.fixture
def store(sealed: Path, tmp_path: Path) -> Path:
    """A copy to be damaged, below a root of its own."""
    return Path(shutil.copytree(sealed, tmp_path / "encode" / sealed.name))


OBJECTS = [
    "commits/00001.json",
    "commits/created.json",
    "identity.json",
    "index.parquet",
    "latents/c/1/0/0/0",
    "latents/zarr.json",
    "manifest.json",
    "report.json",
    "seed/c/2",
    "seed/zarr.json",
    "text/c/0/0",
    "text/zarr.json",
    "valid/c/1",
    "valid/zarr.json",
    "zarr.json",
]
CHECKED_ON_READING = {"index.parquet", "manifest.json", "zarr.json"}


def test_every_kind_of_object_is_tried(sealed: Path) -> None:
    assert set(OBJECTS) < read_objects(sealed).keys()
    assert {Path(name).name for name in read_objects(sealed) if "/c/" not in name} == {
        *(Path(name).name for name in OBJECTS if "/c/" not in name),
        "00000.json",
        "00002.json",
    }
    assert verify(str(sealed)) == []


@settings(max_examples=150)
@given(path=st.sampled_from(OBJECTS), place=st.floats(0, 1, exclude_max=True))
def test_one_flipped_bit_is_named_and_never_read_as_data(sealed: Path, path: str, place: float) -> None:
    whole = read_store(str(sealed))
    file = sealed / path
    with flipped(file, int(place * 8 * file.stat().st_size)):
        [problem] = verify(str(sealed))
        assert (problem.path, problem.problem) == (path, CHANGED)
        if "/c/" in path or path in CHECKED_ON_READING:
            with pytest.raises(DamagedStoreError):
                read_store(str(sealed))
        else:
            assert read_store(str(sealed)) == whole


@pytest.mark.parametrize("name", ["latents", "text", "valid", "seed"])
def test_any_zarr_reader_raises_on_a_flipped_bit(sealed: Path, name: str) -> None:
    file = next(path for path in sorted((sealed / name / "c").rglob("*")) if path.is_file())
    with flipped(file, 5), pytest.raises(ValueError, match="checksum"):
        zarr.open_array(str(sealed / name), mode="r")[:]


@pytest.mark.parametrize("path", OBJECTS)
def test_a_missing_object_is_named(store: Path, path: str) -> None:
    (store / path).unlink()
    found = verify(str(store))
    # Without its manifest a store is an unfinished one, and what is committed is as it should be.
    assert [(p.path, p.problem) for p in found] == ([] if path == "manifest.json" else [(path, MISSING)])


@pytest.mark.parametrize("path", [path for path in OBJECTS if "/c/" in path])
def test_a_cut_off_shard_is_named_wherever_it_ends(store: Path, path: str) -> None:
    whole = (store / path).read_bytes()
    for size in {0, 1, 3, len(whole) // 2, len(whole) - 1}:
        (store / path).write_bytes(whole[:size])
        assert [(p.path, p.problem) for p in verify(str(store))] == [(path, CHANGED)]
        with pytest.raises(DamagedStoreError):
            read_store(str(store))


def test_problems_are_sorted_by_path(store: Path) -> None:
    for path in ("manifest.json", "commits/created.json", "commits/00002.json", "latents/c/1/0/0/0"):
        (store / path).write_bytes(b"broken")
    paths = [problem.path for problem in verify(str(store))]
    assert paths == ["commits/00002.json", "commits/created.json", "latents/c/1/0/0/0", "manifest.json"]
    (store / "manifest.json").unlink()
    for path in ("zarr.json", "latents/zarr.json", "seed/zarr.json", "text/zarr.json", "valid/zarr.json"):
        (store / path).write_bytes(b"broken")
    paths = [problem.path for problem in verify(str(store))]
    assert len(paths) == 7
    assert paths == sorted(paths)


def test_a_foreign_object_is_named_and_left_alone(store: Path) -> None:
    for path in ("notes.txt", "latents/c/7/0/0/0"):
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_text("x")
    problems = verify(str(store))
    assert problems == [Problem("latents/c/7/0/0/0", FOREIGN), Problem("notes.txt", FOREIGN)]
    assert repair(str(store), problems) == []
    assert (store / "manifest.json").exists()


@pytest.mark.parametrize("damage", ["flip", "remove"])
@pytest.mark.parametrize("path", OBJECTS)
def test_a_repaired_store_is_made_again_to_the_byte(store: Path, path: str, damage: str) -> None:
    whole = read_objects(store)
    if damage == "flip":
        (store / path).write_bytes(whole[path][:-1] + bytes([whole[path][-1] ^ 4]))
    else:
        (store / path).unlink()
    repair(str(store), verify(str(store)))
    assert not (store / "manifest.json").exists()
    lost = {0, 1, 2} - LatentStore.resume(str(store)).committed() if (store / "zarr.json").exists() else set()
    shard = [int(part[:5]) for part in path.split("/") if part[:5].isdigit() and path != "manifest.json"]
    assert lost == set(shard[:1])
    assert make_store(store.parent.parent) == str(store)
    assert read_objects(store) == whole
    assert verify(str(store)) == []


def test_two_damaged_shards_and_the_layout(store: Path) -> None:
    whole = read_objects(store)
    for path in ("latents/c/0/0/0/0", "text/c/2/0", "latents/zarr.json", "manifest.json"):
        (store / path).write_bytes(whole[path][:-1] + bytes([whole[path][-1] ^ 1]))
    for _ in range(2):  # what lies in an array that cannot be opened is seen once its layout is back
        repair(str(store), verify(str(store)))
        make_store(store.parent.parent)
    assert read_objects(store) == whole


def test_an_unfinished_store_is_checked_as_far_as_it_is(store: Path) -> None:
    for path in ("manifest.json", "commits/00001.json"):
        (store / path).unlink()
    (store / "seed/c/1").write_bytes(b"broken")  # of the shard that is not committed
    assert verify(str(store)) == []
    (store / "seed/c/2").write_bytes(b"broken")
    assert [problem.path for problem in verify(str(store))] == ["seed/c/2"]


def test_what_a_killed_writer_left_is_gone_once_sealed(store: Path) -> None:
    (store / "manifest.json").unlink()
    (store / "latents/c/1/0/0/0.1234.partial").write_bytes(b"half")
    make_store(store.parent.parent)
    assert verify(str(store)) == []


def test_sealing_rejects_a_damaged_commit_record(store: Path) -> None:
    (store / "manifest.json").unlink()
    record = json.loads((store / "commits/00001.json").read_text())
    (store / "commits/00001.json").write_text(json.dumps({**record, "valid": 0}))
    with pytest.raises(DamagedStoreError, match=r"commits/00001.json"):
        LatentStore.resume(str(store)).seal()


def test_no_store(tmp_path: Path) -> None:
    for _ in range(2):  # the second time there is a trained CRF, whose manifest is another
        with pytest.raises(UserError, match="expected a latent store, found none at"):
            verify(str(tmp_path))
        seal_output(str(tmp_path), TrainingManifest(objects={}, steps=1, workers=0, provenance={}))
