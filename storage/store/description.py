"""Describe a store in words, for ``latentcrf show`` and for notebooks."""

from collections.abc import Iterable
from typing import Any

from storage.store.handle import OpenedStore
from storage.store.layout import FLAGS


def summarize(store: OpenedStore) -> str:
    """Describe a store in one line: its rows, and its committed shards or, once sealed, its valid rows."""
    rows = f"{len(store):,} rows in shards of {store.shard_rows}"
    if not store.sealed:
        return f"{rows}, {len(store.committed())} of {store.shard_count} shards written"
    return f"{rows}, sealed: {store.manifest.valid:,} valid, {store.manifest.rejected:,} rejected"


def describe_arrays(store: OpenedStore) -> list[dict[str, Any]]:
    """List name, shape, dtype and dimensions of each array. ``valid`` and ``seed`` come last."""
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


def format_arrays(store: OpenedStore) -> list[dict[str, str]]:
    """Format what ``describe_arrays`` returns as text."""
    return [
        {**record, "shape": str(tuple(record["shape"])), "dimensions": " ".join(record["dimensions"])}
        for record in describe_arrays(store)
    ]


def read_first_rows(store: OpenedStore, count: int) -> list[dict[str, Any]]:
    """Read the first ``count`` rows of the index, but at most those of the first shard."""
    return list(store.rows(0).slice(0, count).to_pylist()) if len(store) else []


def drop_empty_columns(lines: list[dict[str, Any]], columns: Iterable[str]) -> list[dict[str, str]]:
    """Keep the columns that have a value in any line. A missing value becomes ""."""
    kept = [name for name in columns if any(line.get(name) for line in lines)]
    return [{name: line.get(name) or "" for name in kept} for line in lines]


def format_provenance(provenance: dict[str, Any]) -> dict[str, str]:
    """Format each entry as one line of text, without nulls: ``{"parameters": "guidance_scale=4.0 seed=0 …"}``."""
    return {name: _format_value(value) for name, value in provenance.items()}


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_format_value(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        return " ".join(_format_value(part) for part in value)
    return str(value)
