"""Features from a transformers folder: CLIP, SigLIP, DINOv2 or another vision network that pools its output."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crf.errors import InputError
from crf.features.files import hash_files
from crf.features.network import FeatureDescription
from crf.features.pixels import RESIZE, crop_centre, normalise, quantise, resize

PREPROCESSOR = "preprocessor_config.json"


class TransformersFeatures:
    """Compute image features, and text features if it has a text encoder, by a network in transformers' format.

    Sides, means and deviations are those of the folder's preprocessor_config.json. Pixels are rounded to bytes, then
    resized by bicubic interpolation with antialiasing, whatever the folder's own image processor would do.

    Maps pixels in [-1, 1] (B, 3, H, W) to features float32 (B, D) on the CPU.

    Raises:
        InputError: The folder lacks something, or its network does not pool its output.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._network, self._device = load_network(folder).to(device), device
        self._settings = read_preprocessor(folder)
        has_text = hasattr(self._network, "get_text_features")
        self._tokenizer = load_tokenizer(folder) if has_text else None
        side, crop = self._settings["side"], self._settings["crop"]
        self.description = FeatureDescription(
            name=type(self._network).__name__,
            weights_sha256=hash_files(sorted(folder.glob("*.safetensors"))),
            layer="get_image_features" if has_text else "pooler_output",
            width=self(torch.zeros(1, 3, side, side)).shape[1],
            resize=f"{RESIZE}, to {side}" + (f", centre {crop}" if crop != side else ""),
            range=f"(byte / 255 - {self._settings['mean']}) / {self._settings['std']}",
            quantised=True,
        )

    @torch.no_grad()
    def __call__(self, x_BCHW: Tensor) -> Tensor:
        settings = self._settings
        resized_BCHW = resize(quantise(x_BCHW.to(self._device)), settings["side"])
        cropped_BCHW = crop_centre(resized_BCHW, settings["crop"])
        pixels_BCHW = normalise(cropped_BCHW, settings["mean"], settings["std"])
        encode = self._network.get_image_features if self._tokenizer else self._network
        return self._pool(encode(pixel_values=pixels_BCHW))

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> Tensor | None:
        if not self._tokenizer:
            return None
        # Padded to the full length, so that a batch's longest caption changes no other.
        length = self._network.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return self._pool(self._network.get_text_features(**tokens.to(self._device)))

    def _pool(self, output: Any) -> Tensor:
        pooled_BD: Tensor | None = getattr(output, "pooler_output", None)
        if pooled_BD is None:
            found = type(self._network).__name__
            raise InputError("a network that pools its output", found, "give CLIP, SigLIP or DINOv2 to --features")
        return pooled_BD.flatten(1).float().cpu()


def load_network(folder: Path) -> Any:
    """Load a folder's network. Raises InputError if its weights are not safetensors or are incomplete."""
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        network, report = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        expected = "a transformers folder with config.json and safetensors weights"
        raise InputError(expected, f"none at {folder}", "save one with save_pretrained(FOLDER)") from error
    if report["missing_keys"]:  # transformers fills these with random numbers
        found = f"none for {min(report['missing_keys'])} in {folder}"
        raise InputError("all of the network's weights", found, "save the whole network with save_pretrained(FOLDER)")
    return network.eval()


def load_tokenizer(folder: Path) -> Any:
    """Load a folder's tokenizer. Raises InputError if there is none, where transformers makes an empty one."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer_config.json").is_file():
        expected = f"the tokenizer of the text encoder in {folder}"
        raise InputError(expected, "none", "save it there with save_pretrained(FOLDER)")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def read_preprocessor(folder: Path) -> dict[str, Any]:
    """Read what the folder's image processor does: "side" to resize to, "crop" to crop to, "mean" and "std"."""
    file = folder / PREPROCESSOR
    if not file.is_file():
        raise InputError(f"a {PREPROCESSOR} in {folder}", "none", "save the network's image processor there too")
    config = json.loads(file.read_text())
    side = read_side(config["size"])
    crop = read_side(config["crop_size"]) if config.get("do_center_crop") else side
    return {"side": side, "crop": crop, "mean": list(config["image_mean"]), "std": list(config["image_std"])}


def read_side(size: int | dict[str, int]) -> int:
    """Read the side of a square from a processor's size: a number in old folders, a dict in newer ones."""
    return size if isinstance(size, int) else size.get("shortest_edge") or size["height"]
