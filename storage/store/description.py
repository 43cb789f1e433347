"""A store in words: what ``latentcrf show`` prints and what a notebook shows of it."""

from collections.abc import Iterable
from typing import Any

from storage.store.handle import OpenedStore
from storage.store.layout import FLAGS


def summary(store: OpenedStore) -> str:
    """Rows, how far it is and, once it is sealed, how many of the rows are valid."""
    rows = f"{len(store):,} rows in shards of {store.shard_rows}"
    if not store.sealed:
        return f"{rows}, {len(store.committed())} of {store.shard_count} shards written"
    return f"{rows}, sealed: {store.manifest['valid']:,} valid, {store.manifest['rejected']:,} rejected"


def array_records(store: OpenedStore) -> list[dict[str, Any]]:
    """Name, shape, dtype and dimensions of each array, the flags last."""
    arrays = {name: store[name] for name in [*store.names, *FLAGS]}
    return [
        {
            "array": name,
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "dimensions": list(array.metadata.dimension_names),  # type: ignore[union-attr, arg-type]
        }
        for name, array in arrays.items()
    ]


def array_lines(store: OpenedStore) -> list[dict[str, str]]:
    """The same as text."""
    return [
        {**record, "shape": str(tuple(record["shape"])), "dimensions": " ".join(record["dimensions"])}
        for record in array_records(store)
    ]


def first_rows(store: OpenedStore, count: int) -> list[dict[str, Any]]:
    """The first lines of the index, from the first shard."""
    return list(store.rows(0).slice(0, count).to_pylist()) if len(store) else []


def filled(lines: list[dict[str, Any]], columns: Iterable[str]) -> list[dict[str, str]]:
    """Of these columns those that say something in any line; "" where a value is missing."""
    kept = [name for name in columns if any(line.get(name) for line in lines)]
    return [{name: line.get(name) or "" for name in kept} for line in lines]


def provenance_lines(provenance: dict[str, Any]) -> dict[str, str]:
    """One line of text an entry: ``{"parameters": "guidance=4.0 seed=0 …"}``, without what is null."""
    return {name: _in_words(value) for name, value in provenance.items()}


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_in_words(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        return " ".join(_in_words(part) for part in value)
    return str(value)
