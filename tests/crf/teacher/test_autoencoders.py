"""Teachers with every autoencoder that is served, tiny and random."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AsymmetricAutoencoderKL,
    AutoencoderTiny,
    ConsistencyDecoderVAE,
    DiffusionPipeline,
    VQModel,
)

from crf.errors import TeacherError
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from crf.stages.encode import EncodeImages
from crf.teacher.autoencoders import AUTOENCODERS
from crf.teacher.folder import TeacherShape, check_teacher
from crf.teacher.teacher import Teacher
from tests.support.teachers import save_pipeline, tiny_pipeline, tiny_sd3_pipeline, vae


def tiny() -> AutoencoderTiny:
    channels, blocks = (8, 8, 8, 8), (1, 1, 1, 1)
    return AutoencoderTiny(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks,
        latent_channels=8,
    )


def asymmetric() -> AsymmetricAutoencoderKL:
    return AsymmetricAutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        down_block_out_channels=(4, 4, 4, 4),
        up_block_types=("UpDecoderBlock2D",) * 4,
        up_block_out_channels=(4, 4, 4, 4),
        latent_channels=8,
        norm_num_groups=2,
    )


def vector_quantized() -> VQModel:
    return VQModel(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        latent_channels=8,
        norm_num_groups=2,
        num_vq_embeddings=32,
    )


def consistency() -> ConsistencyDecoderVAE:
    # Its decoder takes the statistics of four channels.
    return ConsistencyDecoderVAE(
        latent_channels=4,
        encoder_block_out_channels=(4, 4, 4, 4),
        encoder_norm_num_groups=2,
        encoder_layers_per_block=1,
        decoder_block_out_channels=(8, 8),
        decoder_down_block_types=("ResnetDownsampleBlock2D",) * 2,
        decoder_up_block_types=("ResnetUpsampleBlock2D",) * 2,
        decoder_layers_per_block=1,
        decoder_norm_num_groups=4,
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "AutoencoderKL": lambda: vae(4),
    "AsymmetricAutoencoderKL": asymmetric,
    "AutoencoderTiny": tiny,
    "ConsistencyDecoderVAE": consistency,
    "VQModel": vector_quantized,
}


def pipeline_with(autoencoder: Any) -> DiffusionPipeline:
    stock = tiny_pipeline(4)
    if autoencoder.config.latent_channels == 4:
        unet = type(stock.unet).from_config({**stock.unet.config, "in_channels": 4, "out_channels": 4})
        stock.register_modules(unet=unet)
    stock.register_modules(vae=autoencoder)
    return stock


def test_every_autoencoder_that_is_served_is_tested() -> None:
    assert set(MAKERS) == set(AUTOENCODERS)


@pytest.mark.parametrize("name", list(MAKERS))
def test_encoded_and_decoded_as_the_autoencoder_does(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = save_pipeline(pipeline_with(MAKERS[name]()), tmp_path)
    shape, teacher = TeacherShape.read(folder), Teacher.load(folder)
    assert type(teacher.vae).__name__ == name
    assert shape.latent_shape(32) == teacher.latent_shape(32) == (teacher.vae.config.latent_channels, 4, 4)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    z = teacher.encode(x)
    assert torch.equal(z, teacher.encode(x))
    assert z.shape == (2, *shape.latent_shape(32))
    output = teacher.vae.encode(x)
    theirs = output.latents if hasattr(output, "latents") else output.latent_dist.mode()
    torch.testing.assert_close(z, theirs * teacher.vae.config.scaling_factor)
    pixels = teacher.decode(z)
    assert pixels.shape == (2, 3, 32, 32)
    torch.testing.assert_close(pixels, torch.cat([teacher.decode(one[None]) for one in z]), rtol=1e-4, atol=1e-4)
    if name != "ConsistencyDecoderVAE":  # which draws noise
        torch.testing.assert_close(pixels, teacher.vae.decode(theirs).sample.clamp(-1, 1))


def test_the_encode_stage_runs_through_the_tiny_autoencoder(tmp_path: Path) -> None:
    folder = save_pipeline(pipeline_with(tiny()), tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    batch = {"image": image, "caption": np.array(["a cat", ""]), "valid": np.array([True, False])}
    encoded = EncodeImages(str(folder), "cpu", 1)(batch)
    assert encoded["latents"].shape == (2, 4, 4, 8)
    assert np.isfinite(encoded["latents"][0]).all()
    assert np.isnan(encoded["latents"][1]).all()


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_sd3_pipeline])
def test_a_pipeline_draws_with_the_tiny_autoencoder(make: Callable[[int], Any]) -> None:
    stock = make(4)
    stock.register_modules(vae=tiny())
    pipeline = LatentCRFPipeline.from_teacher(stock, schedule=Schedule.parse("2/2"))
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a cat").images[0].size == (32, 32)


def test_another_autoencoder_is_rejected_before_its_weights_are_loaded(tiny_teacher: Path, tmp_path: Path) -> None:
    for part in tiny_teacher.iterdir():
        (tmp_path / part.name).symlink_to(part)
    index = json.loads((tiny_teacher / "model_index.json").read_text())
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "vae": ["diffusers", "AutoencoderDC"]}))
    with pytest.raises(TeacherError, match=r"expected an autoencoder of AutoencoderKL, .*, found AutoencoderDC; use"):
        check_teacher(tmp_path)
