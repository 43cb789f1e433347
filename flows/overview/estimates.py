"""What the rest of a store takes, judging by shards that were computed before."""

from dataclasses import dataclass

from humanize import naturaldelta, naturalsize

from storage import LatentStore, locations
from storage.records import read_record
from storage.store.layout import FLAGS, list_committed_shards, make_commit_path
from storage.store.records import CommitRecord

READ_RECORDS = 16  # commit records, evenly spaced over the store


@dataclass(frozen=True)
class Estimate:
    """What it takes to make rows of a store.

    Args:
        rows: Number of rows to make.
        bytes: Size of their arrays in bytes; None if no shard that was computed tells.
        device_seconds: Seconds that all devices (GPUs, or cores without any) compute, together; None as above.
    """

    rows: int
    bytes: int | None = None
    device_seconds: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.rows:,} rows"]
        if self.bytes is not None:
            parts.append(naturalsize(self.bytes, binary=True))
        if self.device_seconds is not None:
            parts.append(f"{naturaldelta(self.device_seconds)} of a device")
        return ", ".join(parts)


def estimate_rows(rows: int, like: str) -> Estimate:
    """Estimate what rows take, by the computed shards of the store at ``like``, of which there may be none."""
    records = [record for record in read_records(like) if "device_seconds" in record.timing]
    measured = sum(record.rows[1] - record.rows[0] for record in records)
    if not measured:
        return Estimate(rows)
    seconds = sum(record.timing["device_seconds"] for record in records) / measured * rows
    return Estimate(rows, round(measure_row(like) * rows), seconds)


def read_records(url: str) -> list[CommitRecord]:
    """Read some of a store's commit records; none if there is no store."""
    shards = sorted(list_committed_shards(url))
    chosen = shards[:: max(1, len(shards) // READ_RECORDS)]
    return [read_record(locations.join(url, make_commit_path(shard)), CommitRecord) for shard in chosen]


def measure_row(url: str) -> float:
    """Compute the bytes per row of a store's arrays, which are not compressed."""
    store = LatentStore.open(url, allow_unsealed=True)
    return sum(store[name].nbytes for name in (*store.names, *FLAGS)) / len(store)
