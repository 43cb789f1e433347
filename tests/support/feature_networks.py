"""Networks that turn images into features, with random weights, in transformers' format."""

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, PreTrainedModel

from tests.support.teachers import clip_config, clip_tokenizer

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8, "image_size": 32}


def save_folder(folder: Path, network: PreTrainedModel, **preprocessor: object) -> Path:
    network.save_pretrained(folder)
    defaults = {"size": {"height": 32, "width": 32}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(defaults | preprocessor))
    return folder


def save_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=clip_config().to_dict(), vision_config={**TINY, "intermediate_size": 32}, projection_dim=6
    )
    clip_tokenizer().save_pretrained(folder)
    return save_folder(folder, CLIPModel(config), size={"shortest_edge": 36}, crop_size=32, do_center_crop=True)
