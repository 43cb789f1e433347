"""A teacher's folder: is it one, what is in it, and what does it hold. Reads no weights into memory."""

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crf.errors import TeacherError
from crf.teacher.families import FAMILIES

UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
HASHED_SUFFIXES = (".safetensors", ".json", ".txt", ".model")


def check_teacher(path: str | Path) -> Path:
    """The folder, if it holds a diffusers text-to-image pipeline of a known family, with safetensors weights."""
    folder = Path(path)
    if not (folder / "model_index.json").is_file():
        raise TeacherError(
            f"expected a teacher in diffusers format (a folder with model_index.json), found none at {path}; "
            "save one with pipeline.save_pretrained(FOLDER, safe_serialization=True)"
        )
    family = _index(folder)["_class_name"]
    if family not in FAMILIES:
        raise TeacherError(
            f"expected a teacher of {', '.join(FAMILIES)}, found {family} at {path}; save it as one of these"
        )
    for component in components(folder):
        if not (folder / component).is_dir():
            raise TeacherError(f"expected the folder {component} in the teacher {path}, found none; save it again")
        if _has_weights(component) and not list((folder / component).glob("*.safetensors")):
            raise TeacherError(f"expected safetensors weights in {path}/{component}, found none; save it again")
    return folder


def components(folder: Path) -> list[str]:
    """The parts that a teacher's images depend on, by the names of their folders."""
    parts = {name: value for name, value in _index(folder).items() if isinstance(value, list)}
    return [name for name, (library, _) in parts.items() if library is not None and name not in UNUSED]


def load_arguments(folder: Path) -> dict[str, Any]:
    """What its pipeline's ``from_pretrained`` must be told: to do without the unused parts and the missing ones."""
    index = _index(folder)
    absent: dict[str, Any] = {name: None for name, value in index.items() if value == [None, None] or name in UNUSED}
    return {**absent, **({"requires_safety_checker": False} if "requires_safety_checker" in index else {})}


def teacher_fingerprints(path: str | Path) -> dict[str, str]:
    """Component -> SHA-256 (16 hex digits) over the content of its files; moving the folder changes nothing."""
    folder = check_teacher(path)
    fingerprints = {}
    for component in components(folder):
        digest = hashlib.sha256()
        for file in sorted((folder / component).iterdir()):
            if file.suffix in HASHED_SUFFIXES:
                status = file.stat()
                content = file_digest(file, status.st_size, status.st_mtime_ns)
                digest.update(f"{file.name}:{content}\n".encode())
        fingerprints[component] = digest.hexdigest()[:16]
    # SDXL's own setting for images without a negative prompt.
    if "force_zeros_for_empty_prompt" in _index(folder):
        fingerprints["empty_prompt"] = "zeros" if _index(folder)["force_zeros_for_empty_prompt"] else "encoded"
    return fingerprints


@functools.lru_cache(maxsize=256)
def file_digest(file: Path, size: int, changed_ns: int) -> str:
    """Of one version of a file; a stage asks for it several times."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_scheduler(config: dict[str, Any]) -> None:
    """Raises TeacherError where sampling cannot follow the teacher's scheduler.

    A key that is absent is taken as off, whatever diffusers' schedulers would take it for.
    """
    prediction = config.get("prediction_type", "epsilon")
    if "shift" not in config and prediction not in ("epsilon", "v_prediction"):
        raise TeacherError(
            "expected a teacher that predicts epsilon or v_prediction, "
            f"found {prediction!r} in its scheduler_config.json; take another teacher"
        )
    if config.get("use_dynamic_shifting"):
        raise TeacherError(
            "expected a flow-matching scheduler with a fixed shift, found use_dynamic_shifting; "
            "set it to false and give the shift of your image size in scheduler_config.json"
        )
    for key in ("clip_sample", "thresholding"):
        if config.get(key):
            raise TeacherError(
                f"expected a scheduler for latents, found {key} in its scheduler_config.json; set it to false"
            )


def _index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "model_index.json").read_text())
    return index


def _has_weights(component: str) -> bool:
    return component != "scheduler" and not component.startswith("tokenizer")


@dataclass(frozen=True)
class TeacherShape:
    """What the stages need to know of a teacher before they load it."""

    latent_channels: int
    factor: int  # pixels a latent, along each side
    multiple: int  # pixels that divide a side
    default_size: int  # pixels a side that the network was made for
    text_width: int  # of the pooled text
    scaling_factor: float  # the process's latents are (the VAE's - shift_factor) * scaling_factor
    shift_factor: float
    scheduler_config: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a teacher's folder; raises TeacherError where it is none."""
        folder = check_teacher(path)
        parts = [part for part in components(folder) if _has_weights(part)]
        configs = {part: json.loads((folder / part / "config.json").read_text()) for part in parts}
        return cls.of(configs, json.loads((folder / "scheduler/scheduler_config.json").read_text()))

    @classmethod
    def of(cls, configs: dict[str, Any], scheduler_config: dict[str, Any]) -> Self:
        """From the configs of its parts with weights, by the names of their folders."""
        check_scheduler(scheduler_config)
        vae, network = configs["vae"], configs["transformer" if "transformer" in configs else "unet"]
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        return cls(
            latent_channels=network["in_channels"],
            factor=factor,
            multiple=factor * network.get("patch_size", 1),
            default_size=network["sample_size"] * factor,
            text_width=pooled_text_width(configs),
            scaling_factor=vae["scaling_factor"],
            shift_factor=vae.get("shift_factor") or 0.0,
            scheduler_config=scheduler_config,
        )

    def side(self, size: int | None) -> int:
        """Pixels a side: as asked, or what the network was made for."""
        if size is not None and size % self.multiple:
            raise TeacherError(
                f"expected a size that {self.multiple} divides, found {size}; "
                f"ask for {size - size % self.multiple + self.multiple}"
            )
        return size or self.default_size

    def latent_shape(self, height: int, width: int | None = None) -> tuple[int, int, int]:
        """(C, H, W) at so many pixels; square if no width is given."""
        return self.latent_channels, height // self.factor, (width or height) // self.factor


def pooled_text_width(configs: dict[str, Any]) -> int:
    """The CRF's text condition: SD 1.x and 2.x's mean state, SDXL's one projection, SD 3's two."""
    if "transformer" in configs:
        return int(configs["text_encoder"]["projection_dim"] + configs["text_encoder_2"]["projection_dim"])
    if "text_encoder_2" in configs:
        return int(configs["text_encoder_2"]["projection_dim"])
    return int(configs["text_encoder"]["hidden_size"])
