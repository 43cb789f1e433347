"""A teacher's folder: is it one, what is in it, and what does it hold. Reads no weights into memory."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

COMPONENTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")
HASHED_SUFFIXES = (".safetensors", ".json", ".txt")


class TeacherError(ValueError):
    """The folder does not hold a teacher."""


def check_teacher(path: str | Path) -> Path:
    """The folder, if it holds a diffusers text-to-image pipeline with safetensors weights."""
    folder = Path(path)
    if not (folder / "model_index.json").is_file():
        raise TeacherError(
            f"expected a teacher in diffusers format (a folder with model_index.json), found none at {path}; "
            "save one with pipeline.save_pretrained(FOLDER, safe_serialization=True)"
        )
    for component in COMPONENTS:
        if not (folder / component).is_dir():
            raise TeacherError(f"expected the folder {component} in the teacher {path}, found none; save it again")
    for component in ("vae", "unet", "text_encoder"):
        if not list((folder / component).glob("*.safetensors")):
            raise TeacherError(f"expected safetensors weights in {path}/{component}, found none; save it again")
    return folder


def teacher_fingerprints(path: str | Path) -> dict[str, str]:
    """Component -> SHA-256 (16 hex digits) over the content of its files; moving the folder changes nothing."""
    folder = check_teacher(path)
    fingerprints = {}
    for component in COMPONENTS:
        digest = hashlib.sha256()
        for file in sorted((folder / component).iterdir()):
            if file.suffix in HASHED_SUFFIXES:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.name}:{content}\n".encode())
        fingerprints[component] = digest.hexdigest()[:16]
    return fingerprints


@dataclass(frozen=True)
class TeacherShape:
    """What the stages need to know of a teacher before they load it."""

    latent_channels: int
    factor: int  # pixels a latent, along each side
    default_size: int  # pixels a side that the U-Net was made for
    text_width: int
    scaling_factor: float
    scheduler_config: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        folder = check_teacher(path)
        unet, vae, text_encoder = (
            json.loads((folder / part / "config.json").read_text()) for part in ("unet", "vae", "text_encoder")
        )
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        return cls(
            latent_channels=unet["in_channels"],
            factor=factor,
            default_size=unet["sample_size"] * factor,
            text_width=text_encoder["hidden_size"],
            scaling_factor=vae["scaling_factor"],
            scheduler_config=json.loads((folder / "scheduler/scheduler_config.json").read_text()),
        )

    def side(self, size: int | None) -> int:
        """Pixels a side: as asked, or what the U-Net was made for."""
        if size is not None and size % self.factor:
            raise TeacherError(f"expected a size that {self.factor} divides, found {size}; change --size")
        return size or self.default_size

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, H, W) at ``size`` pixels a side."""
        return self.latent_channels, size // self.factor, size // self.factor
