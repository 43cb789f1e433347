"""Records keep their bytes on disk, and tell damage from a newer version."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import DamagedStoreError, locations
from storage.errors import NewerVersionError
from storage.records import Record, parse_record, read_record, write_record
from storage.seals import TrainingManifest
from storage.store.records import CommitRecord, CreatedRecord, ShardEntry, StoreManifest
from tests.support.kept_store import STORES

KEPT = {
    "commits/00000.json": CommitRecord,
    "commits/00001.json": CommitRecord,
    "commits/created.json": CreatedRecord,
    "manifest.json": StoreManifest,
}
TEXT, COUNT = st.text(max_size=5), st.integers(0, 2**40)
CHECKSUMS = st.dictionaries(TEXT, TEXT, max_size=3)
SHARD = {
    "shard": COUNT,
    "rows": st.lists(COUNT, min_size=2, max_size=2),
    "fingerprint": st.none() | TEXT,
    "sha256": CHECKSUMS,
}
RECORDS = st.one_of(
    st.builds(
        CommitRecord,
        **SHARD,
        valid=COUNT,
        rejected=st.dictionaries(COUNT, TEXT, max_size=12),
        timing=st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=2),
        copied_from=st.none() | TEXT,
        note=st.none() | TEXT,
    ),
    st.builds(
        StoreManifest,
        objects=CHECKSUMS,
        rows=COUNT,
        valid=COUNT,
        rejected=COUNT,
        shards=st.lists(st.builds(ShardEntry, **SHARD, index=TEXT), max_size=3),
    ),
    st.builds(TrainingManifest, objects=CHECKSUMS, steps=COUNT, workers=COUNT, provenance=st.dictionaries(TEXT, TEXT)),
)


@given(RECORDS)
def test_what_was_written_is_read(record: Record) -> None:
    write_record("memory://records/record.json", record)
    assert read_record("memory://records/record.json", type(record)) == record


@given(RECORDS, st.floats(0, 1, exclude_max=True))
def test_a_flipped_bit_is_damage(record: Record, place: float) -> None:
    write_record("memory://records/flipped.json", record)
    data = bytearray(locations.read_bytes("memory://records/flipped.json"))
    bit = int(place * 8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    assert parse_record(bytes(data), type(record), "") is None


@pytest.mark.parametrize("path", KEPT)
def test_kept_records_are_written_with_the_same_bytes(path: str) -> None:
    kept = (STORES / "v1" / path).read_bytes()
    record = parse_record(kept, KEPT[path], path)
    assert record is not None
    write_record("memory://records/again.json", record)
    assert locations.read_bytes("memory://records/again.json") == kept


def test_rejected_rows_are_sorted_as_text() -> None:
    """As they always were: row 10 comes before row 4."""
    record = CommitRecord(
        shard=0, rows=[0, 12], fingerprint=None, sha256={}, valid=10, timing={}, rejected={4: "a", 10: "b"}
    )
    write_record("memory://records/order.json", record)
    assert list(json.loads(locations.read_bytes("memory://records/order.json"))["rejected"]) == ["10", "4"]


class Grown(CreatedRecord):
    """What a newer version might write."""

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "shape": [1], "origin": "x"}


def test_unknown_fields_are_a_newer_versions() -> None:
    write_record("memory://records/newer.json", Grown(rows=3))
    expected = r"found the unknown fields \['origin', 'shape'\] in memory://records/newer.json; update latentcrf"
    with pytest.raises(NewerVersionError, match=expected):
        read_record("memory://records/newer.json", CreatedRecord)


def test_missing_fields_are_damage() -> None:
    write_record("memory://records/other.json", CreatedRecord(rows=3))
    for kind in (CommitRecord, StoreManifest, TrainingManifest):
        with pytest.raises((DamagedStoreError, NewerVersionError)):
            read_record("memory://records/other.json", kind)
    locations.write_bytes("memory://records/other.json", b"[]")
    with pytest.raises(DamagedStoreError):
        read_record("memory://records/other.json", CreatedRecord)
