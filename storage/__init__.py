"""Storage: input sets, the latent store, and the identity of outputs. Imports neither torch nor an engine."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.errors import DamagedStoreError, EndpointError, NewerVersionError, UnsealedStoreError, UserError
    from storage.identity import Identity
    from storage.store.latent_store import LatentStore
    from storage.store.layout import ArraySpec

__all__ = [
    "ArraySpec",
    "DamagedStoreError",
    "EndpointError",
    "Identity",
    "LatentStore",
    "NewerVersionError",
    "UnsealedStoreError",
    "UserError",
]

HOMES = {
    "ArraySpec": "storage.store.layout",
    "DamagedStoreError": "storage.errors",
    "EndpointError": "storage.errors",
    "Identity": "storage.identity",
    "LatentStore": "storage.store.latent_store",
    "NewerVersionError": "storage.errors",
    "UnsealedStoreError": "storage.errors",
    "UserError": "storage.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that commands which only plan do not wait for zarr."""
    if name not in HOMES:
        raise AttributeError(f"module 'storage' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
