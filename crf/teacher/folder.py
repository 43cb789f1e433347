"""A teacher's folder: check it, list its components, fingerprint them, read its shapes. Loads no weights."""

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from crf.errors import TeacherError
from crf.teacher.autoencoders import check_autoencoder, find_factor
from crf.teacher.families import FAMILIES

UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
HASHED_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
NOTHING: Mapping[str, str] = MappingProxyType({})


def check_teacher(path: str | Path, elsewhere: Collection[str] = (), name: str | None = None) -> Path:
    """Return the folder if it holds a complete pipeline of a supported family, with safetensors weights.

    Args:
        path: Path of the folder.
        elsewhere: Names of files ("unet/config.json") that count as if the folder held them.
        name: What errors call the folder. Default: its path.

    Raises:
        TeacherError: The folder does not hold one, or its autoencoder is not supported.
    """
    folder, name = Path(path), name or str(path)
    if not (folder / "model_index.json").is_file():
        raise TeacherError(
            "a teacher in diffusers format (a folder with model_index.json)",
            f"none at {name}",
            "save one with pipeline.save_pretrained(FOLDER, safe_serialization=True)",
        )
    family = _index(folder)["_class_name"]
    if family not in FAMILIES:
        raise TeacherError(f"a teacher of {', '.join(FAMILIES)}", f"{family} at {name}", "save it as one of these")
    for component in list_components(folder):
        files = _list_files(folder, component, elsewhere)
        if not files and not (folder / component).is_dir():
            raise TeacherError(f"the folder {component} in the teacher {name}", "none", "save it again")
        if _has_weights(component) and not any(file.endswith(".safetensors") for file in files):
            raise TeacherError(f"safetensors weights in {name}/{component}", "none", "save it again")
    check_autoencoder(_index(folder)["vae"][1])
    return folder


def list_components(folder: Path) -> list[str]:
    """List the components that a teacher's images depend on, by the names of their folders."""
    parts = {name: value for name, value in _index(folder).items() if isinstance(value, list)}
    return [name for name, (library, _) in parts.items() if library is not None and name not in UNUSED]


def make_load_arguments(folder: Path) -> dict[str, Any]:
    """Make the arguments of ``from_pretrained`` that leave out the unused and the missing components."""
    index = _index(folder)
    absent: dict[str, Any] = {name: None for name, value in index.items() if value == [None, None] or name in UNUSED}
    return {**absent, **({"requires_safety_checker": False} if "requires_safety_checker" in index else {})}


def choose_dtypes(folder: Path, dtype: Any) -> dict[str, Any]:
    """Choose the dtype of each component: SDXL's VAE stays in float32 if its config asks for it (``force_upcast``)."""
    import torch

    upcasts = FAMILIES[_index(folder)["_class_name"]].upcasts_vae
    forced = json.loads((folder / "vae/config.json").read_text()).get("force_upcast", False)
    return {"default": dtype, **({"vae": torch.float32} if upcasts and forced else {})}


def fingerprint_teacher(
    path: str | Path, known: Mapping[str, str] = NOTHING, name: str | None = None
) -> dict[str, str]:
    """Compute a fingerprint (16 hex digits) of each component's files. Moving the folder does not change it.

    Args:
        path: Path of the folder.
        known: The SHA-256 of files that the folder need not hold: name ("unet/config.json") -> hex digits.
        name: What errors call the folder. Default: its path.
    """
    folder = check_teacher(path, known, name)
    fingerprints = {part: fingerprint_component(folder, part, known) for part in list_components(folder)}
    # A setting of SDXL for prompts without a negative prompt.
    if "force_zeros_for_empty_prompt" in _index(folder):
        fingerprints["empty_prompt"] = "zeros" if _index(folder)["force_zeros_for_empty_prompt"] else "encoded"
    return fingerprints


def fingerprint_component(folder: Path, component: str, known: Mapping[str, str] = NOTHING) -> str:
    """Compute the fingerprint of one component's files. ``known``: as in ``fingerprint_teacher``."""
    digest = hashlib.sha256()
    for name in sorted(_list_files(folder, component, known)):
        file = folder / component / name
        if file.suffix in HASHED_SUFFIXES:
            content = known.get(f"{component}/{name}") or _hash_current(file)
            digest.update(f"{name}:{content}\n".encode())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=256)
def hash_file(file: Path, size: int, changed_ns: int) -> str:
    """Compute the SHA-256 of a file. Cached per size and modification time, since a stage needs it several times."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_scheduler(config: dict[str, Any]) -> None:
    """Raise TeacherError if the scheduler's config asks for something that sampling does not support.

    A missing key counts as off, even if diffusers' default is on.
    """
    prediction = config.get("prediction_type", "epsilon")
    if "shift" not in config and prediction not in ("epsilon", "v_prediction"):
        raise TeacherError(
            "a teacher that predicts epsilon or v_prediction",
            f"{prediction!r} in its scheduler_config.json",
            "use another teacher",
        )
    if config.get("use_dynamic_shifting"):
        raise TeacherError(
            "a flow-matching scheduler with a fixed shift",
            "use_dynamic_shifting",
            "set it to false and give the shift of your image size in scheduler_config.json",
        )
    for key in ("clip_sample", "thresholding"):
        if config.get(key):
            raise TeacherError(
                "a scheduler for latents", f"{key} in the teacher's scheduler_config.json", "set it to false"
            )


def _index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "model_index.json").read_text())
    return index


def _list_files(folder: Path, component: str, elsewhere: Collection[str]) -> set[str]:
    here = {file.name for file in (folder / component).glob("*")}
    return here | {name.removeprefix(f"{component}/") for name in elsewhere if name.startswith(f"{component}/")}


def _hash_current(file: Path) -> str:
    status = file.stat()
    return hash_file(file, status.st_size, status.st_mtime_ns)


def _has_weights(component: str) -> bool:
    return component != "scheduler" and not component.startswith("tokenizer")


@dataclass(frozen=True)
class TeacherShape:
    """A teacher's sizes and scales, which stages need before they load its weights."""

    latent_channels: int
    factor: int  # pixels per latent pixel, along each side
    multiple: int  # divides every valid side in pixels
    default_size: int  # pixels per side that the network was trained for
    text_width: int  # of the pooled text
    scaling_factor: float  # the teacher's latents are (the VAE's - shift_factor) * scaling_factor
    shift_factor: float
    scheduler_config: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path, elsewhere: Collection[str] = (), name: str | None = None) -> Self:
        """Read the shape from the configs in a teacher's folder. Raises TeacherError if it holds none.

        ``elsewhere`` and ``name``: as in ``check_teacher``. The configs are in the folder.
        """
        folder = check_teacher(path, elsewhere, name)
        parts = [part for part in list_components(folder) if _has_weights(part)]
        configs = {part: json.loads((folder / part / "config.json").read_text()) for part in parts}
        return cls.from_configs(
            configs, _index(folder)["vae"][1], json.loads((folder / "scheduler/scheduler_config.json").read_text())
        )

    @classmethod
    def from_configs(cls, configs: dict[str, Any], vae_class: str, scheduler_config: dict[str, Any]) -> Self:
        """Derive the shape from the components' configs (component -> config). Raises TeacherError if unsupported."""
        check_scheduler(scheduler_config)
        vae, network = configs["vae"], configs["transformer" if "transformer" in configs else "unet"]
        factor = find_factor(vae_class, vae)
        return cls(
            latent_channels=network["in_channels"],
            factor=factor,
            multiple=factor * network.get("patch_size", 1),
            default_size=network["sample_size"] * factor,
            text_width=find_text_width(configs),
            scaling_factor=vae["scaling_factor"],
            shift_factor=vae.get("shift_factor") or 0.0,
            scheduler_config=scheduler_config,
        )

    def side(self, size: int | None) -> int:
        """Return ``size`` in pixels; for None, the default size. Raises TeacherError unless ``multiple`` divides it."""
        if size is not None and size % self.multiple:
            larger = size - size % self.multiple + self.multiple
            raise TeacherError(f"a size that {self.multiple} divides", f"{size}", f"ask for {larger}")
        return size or self.default_size

    def latent_shape(self, height: int, width: int | None = None) -> tuple[int, int, int]:
        """Compute the shape (C, H, W) of the latents of an image of ``height`` by ``width`` pixels. Default: square."""
        return self.latent_channels, height // self.factor, (width or height) // self.factor


def find_text_width(configs: dict[str, Any]) -> int:
    """Find the width of the pooled text: the mean state's (SD 1.x, 2.x), one projection's (SDXL) or two (SD 3)."""
    if "transformer" in configs:
        return int(configs["text_encoder"]["projection_dim"] + configs["text_encoder_2"]["projection_dim"])
    if "text_encoder_2" in configs:
        return int(configs["text_encoder_2"]["projection_dim"])
    return int(configs["text_encoder"]["hidden_size"])


def read_config(module: Any) -> dict[str, Any]:
    """Return a model's config as a dict. That of a diffusers model is one; that of transformers is an object."""
    config: dict[str, Any] = module.config if isinstance(module.config, dict) else module.config.to_dict()
    return config
