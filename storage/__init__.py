"""The data: input sets, the latent store, and the identity of what is stored. No torch, no Ray."""

from storage.errors import DamagedStoreError, UnsealedStoreError, UserError
from storage.identity import Identity
from storage.layout import ArraySpec
from storage.store import LatentStore

__all__ = ["ArraySpec", "DamagedStoreError", "Identity", "LatentStore", "UnsealedStoreError", "UserError"]
