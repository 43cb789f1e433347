"""The data: input sets, the latent store, and the identity of what is stored. No torch, no Ray."""

from storage.errors import UnsealedStoreError, UserError
from storage.identity import Identity
from storage.store import ArraySpec, LatentStore

__all__ = ["ArraySpec", "Identity", "LatentStore", "UnsealedStoreError", "UserError"]
