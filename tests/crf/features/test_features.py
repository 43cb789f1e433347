"""The feature networks, with random weights except for the default's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTForImageClassification,
)

from crf.errors import InputError
from crf.features import network
from crf.features.files import fingerprint_features
from crf.features.loading import load_features
from crf.features.pixels import quantise, resize
from tests.support.feature_networks import TINY, save_clip, save_folder
from tests.support.teachers import clip_config, clip_tokenizer

IMAGES = torch.rand(5, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
CAPTIONS = ["a red apple", "two dogs", "a", "a castle on a hill"]


class Pooling(torch.nn.Module):
    """A network like NVIDIA's Inception: it returns its features if it is asked to, else something else."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, classes, 16, stride=16)

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if not return_features:
            return x
        return self.layer(x / 255).mean((2, 3))


class Maps(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def save_dinov2(folder: Path) -> Path:
    torch.manual_seed(0)
    return save_folder(folder, Dinov2Model(Dinov2Config(**TINY)))


def save_siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {**clip_config().to_dict(), "projection_size": 16}
    config = SiglipConfig(text_config=text, vision_config={**TINY, "intermediate_size": 32})
    clip_tokenizer().save_pretrained(folder)
    return save_folder(folder, SiglipModel(config))


def save_siglip_vision(folder: Path) -> Path:
    torch.manual_seed(0)
    return save_folder(folder, SiglipVisionModel(SiglipVisionConfig(**TINY, intermediate_size=32)))


def save_script(path: Path, module: torch.nn.Module) -> Path:
    torch.manual_seed(0)
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        torch.jit.script(module).save(str(path))
    return path


FOLDERS = {"clip": save_clip, "dinov2": save_dinov2, "siglip": save_siglip, "siglip_vision": save_siglip_vision}


@pytest.fixture(params=["efficientnet", *FOLDERS, "torchscript"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    if request.param in FOLDERS:
        return FOLDERS[request.param](tmp_path / request.param)
    return save_script(tmp_path / "network.pt", Pooling()) if request.param == "torchscript" else None


def test_features_do_not_depend_on_the_batch(path: Path | None) -> None:
    features = load_features(path)
    together = features(IMAGES)
    assert together.shape == (5, features.description.width)
    assert together.dtype == torch.float32
    alone = torch.cat([features(image[None]) for image in IMAGES])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[0], together[1])
    assert features.description.distance == "Fréchet distance"


def test_clip_equals_transformers_own_pipeline(tmp_path: Path) -> None:
    """On images that need no resizing, its image processor does as ours does."""
    folder = save_clip(tmp_path / "clip")
    features = load_features(folder)
    images = IMAGES[..., :36, :36]
    pillow = [Image.fromarray(x) for x in quantise(images).byte().permute(0, 2, 3, 1).numpy()]
    inputs = CLIPImageProcessorPil.from_pretrained(folder)(pillow, return_tensors="pt")
    clip = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = clip(**inputs, **clip_tokenizer()(CAPTIONS, padding=True, return_tensors="pt"))
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(features(images)), expected.image_embeds, atol=1e-5, rtol=1e-4)
    text = features.encode_captions(CAPTIONS)
    assert text is not None
    torch.testing.assert_close(unit(text), expected.text_embeds, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FOLDERS)
def test_captions_have_features_if_there_is_a_text_encoder(tmp_path: Path, family: str) -> None:
    features = load_features(FOLDERS[family](tmp_path / family))
    text = features.encode_captions(CAPTIONS)
    assert (text is not None) == (family in ("clip", "siglip"))
    if text is not None:
        assert text.shape == (4, features.description.width)
        first = features.encode_captions(CAPTIONS[:1])
        torch.testing.assert_close(first, text[:1], atol=1e-5, rtol=1e-4)


def test_images_are_resized_as_pillow_does() -> None:
    """Pillow's bicubic on floats, clamped, is what clean-fid calls clean."""
    pixels = quantise(IMAGES)
    for side in (17, 90):
        channels = [Image.fromarray(x.numpy()).resize((side, side), Image.Resampling.BICUBIC) for x in pixels[0]]
        expected = torch.stack([torch.tensor(np.asarray(channel)) for channel in channels]).clamp(0, 255)
        torch.testing.assert_close(resize(pixels[:1], side)[0], expected, atol=1e-2, rtol=0)


def test_description_names_what_changes_features(tmp_path: Path) -> None:
    described = load_features(save_clip(tmp_path / "clip")).description
    assert (described.name, described.width, described.quantised) == ("CLIPModel", 6, True)
    assert described.resize == "bicubic with antialiasing, clamped, to 36, centre 32"
    assert described.range == "(byte / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]"
    assert load_features(save_clip(tmp_path / "moved")).description == described
    assert load_features(save_dinov2(tmp_path / "dinov2")).description.weights_sha256 != described.weights_sha256


def test_fingerprint_changes_with_the_files_and_not_with_their_place(tmp_path: Path) -> None:
    folder, moved = save_clip(tmp_path / "clip"), save_clip(tmp_path / "moved")
    fingerprint = fingerprint_features(folder)
    assert fingerprint_features(moved) == fingerprint
    for name in ("preprocessor_config.json", "tokenizer.json", "config.json"):
        changed = (moved / name).read_text()
        (moved / name).write_text(changed + " ")
        assert fingerprint_features(moved) != fingerprint
        (moved / name).write_text(changed)
    script = save_script(tmp_path / "network.pt", Pooling())
    assert fingerprint_features(script) == load_features(script).description.weights_sha256
    assert fingerprint_features() == load_features().description.weights_sha256


def test_only_a_known_inception_gives_fid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_script(tmp_path / "inception-2015-12-05.pt", Pooling())
    described = load_features(path).description
    assert described.distance == "Fréchet distance"
    monkeypatch.setitem(network.FID_NETWORKS, described.weights_sha256, "Inception-v3")
    known = load_features(path).description
    assert (known.name, known.distance) == ("Inception-v3", "FID")


def test_what_is_no_network_is_rejected(tmp_path: Path) -> None:
    pickled = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(2)}, pickled)
    for path in (pickled, tmp_path / "missing.pt"):
        with pytest.raises(InputError, match=f"a TorchScript file .* found neither at {path}"):
            load_features(path)
    with pytest.raises(InputError, match=r"returns features \(B, D\), found \(1, 3, 299, 299\) from"):
        load_features(save_script(tmp_path / "maps.pt", Maps()))


def test_incomplete_folders_are_rejected(tmp_path: Path) -> None:
    folder = save_dinov2(tmp_path / "dinov2")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"a preprocessor_config.json in .*, found none"):
        load_features(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors weights, found none at"):
        load_features(folder)


def test_a_text_encoder_without_its_tokenizer_is_an_error(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "clip")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match=r"the tokenizer of the text encoder in .*, found none"):
        load_features(folder)


def test_weights_that_transformers_would_make_up_are_an_error(tmp_path: Path) -> None:
    """A classifier's folder has no pooler."""
    classifier = save_folder(tmp_path / "vit", ViTForImageClassification(ViTConfig(**TINY, intermediate_size=32)))
    with pytest.raises(InputError, match=r"all of the network's weights, found none for pooler\.dense\.bias"):
        load_features(classifier)
