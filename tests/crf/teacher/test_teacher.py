import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from crf.errors import TeacherError
from crf.noise import derive_seed, sample_noise
from crf.teacher.folder import TeacherShape, check_teacher, fingerprint_teacher
from crf.teacher.noise_schedule import read_noise_schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY, save_pipeline


@pytest.fixture
def copied(tiny_teacher: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_teacher, tmp_path / "copy"))


def flip_last_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_moving_the_folder_changes_no_fingerprint(tiny_teacher: Path, copied: Path) -> None:
    assert fingerprint_teacher(copied) == fingerprint_teacher(tiny_teacher)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_one_byte_changes_one_fingerprint(tiny_teacher: Path, copied: Path, part: str) -> None:
    flip_last_byte(next((copied / part).glob("*.safetensors")))
    before, after = fingerprint_teacher(tiny_teacher), fingerprint_teacher(copied)
    assert [name for name in before if before[name] != after[name]] == [part]


def test_what_is_no_teacher_is_rejected(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(TeacherError, match=r"model_index\.json"):
        check_teacher(tmp_path / "nothing")
    for weights in (copied / "unet").glob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(TeacherError, match=r"safetensors weights in .*unet"):
        check_teacher(copied)
    shutil.rmtree(copied / "tokenizer")
    with pytest.raises(TeacherError, match="the folder tokenizer"):
        check_teacher(copied)


def test_shape_without_weights_is_that_of_the_loaded_teacher(tiny_teacher: Path) -> None:
    shape, teacher = TeacherShape.read(tiny_teacher), Teacher.load(tiny_teacher)
    assert shape.latent_shape(32) == teacher.latent_shape(32) == (8, 4, 4)
    assert (shape.side(None), shape.side(64)) == (32, 64)
    assert (shape.default_size, shape.text_width) == (teacher.default_size, teacher.shape.text_width) == (32, 16)
    with pytest.raises(TeacherError, match="8 divides"):
        shape.side(33)


PARTS = {
    "sd": {"unet", "text_encoder", "tokenizer"},
    "sdxl": {"unet", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "empty_prompt"},
    "sd3": {
        *("transformer", "text_encoder", "tokenizer"),
        *("text_encoder_2", "tokenizer_2", "text_encoder_3", "tokenizer_3"),
    },
    "sd3_without_t5": {"transformer", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"},
}


@pytest.mark.parametrize("family", list(PARTS))
def test_a_folder_of_every_family_is_read_without_its_weights(family: str, tmp_path: Path) -> None:
    folder = save_pipeline(TINY[family](), tmp_path)
    assert set(fingerprint_teacher(folder)) == {*PARTS[family], "vae", "scheduler"}
    teacher = Teacher.load(folder)
    pooled = teacher.pooled_text(["a cat", "two red boats"])
    loaded, read = teacher.shape, TeacherShape.read(folder)
    assert replace(loaded, scheduler_config={}) == replace(read, scheduler_config={})
    assert pooled.shape == (2, read.text_width)
    path = read_noise_schedule(read.scheduler_config).path(40)
    assert path == teacher.noise_schedule.path(40)
    assert teacher.decode(torch.zeros(1, *read.latent_shape(32))).shape == (1, 3, 32, 32)


def test_a_side_must_hold_whole_patches(tmp_path: Path) -> None:
    shape = TeacherShape.read(save_pipeline(TINY["sd3"](), tmp_path))
    assert shape.side(48) == 48
    with pytest.raises(TeacherError, match="16 divides, found 40; ask for 48"):
        shape.side(40)


def test_another_kind_of_pipeline_is_rejected(copied: Path) -> None:
    index = copied / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "FluxPipeline"))
    with pytest.raises(TeacherError, match="found FluxPipeline"):
        check_teacher(copied)


def test_sdxls_empty_prompt_is_in_its_fingerprint(tmp_path: Path) -> None:
    folder = save_pipeline(TINY["sdxl"](), tmp_path)
    before = fingerprint_teacher(folder)
    index = folder / "model_index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, "force_zeros_for_empty_prompt": False}))
    after = fingerprint_teacher(folder)
    assert [name for name in before if before[name] != after[name]] == ["empty_prompt"]


def test_shifted_latents_come_back() -> None:
    teacher = Teacher(TINY["sd3"]())
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(teacher.encode(x), (teacher.vae.encode(x).latent_dist.mode() - 0.25) * 0.5)
    z = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(teacher.decode(z), teacher.vae.decode(z / 0.5 + 0.25).sample.clamp(-1, 1))


@pytest.mark.parametrize(("family", "decoded_in"), [("sd", torch.float16), ("sdxl", torch.float32)])
def test_sdxls_half_precision_vae_decodes_in_float32(family: str, decoded_in: torch.dtype) -> None:
    teacher = Teacher(TINY[family]().to(torch.float16))
    seen: list[torch.dtype] = []
    teacher.vae.decoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].dtype))
    assert teacher.decode(torch.randn(1, 8, 4, 4, dtype=torch.float16)).isfinite().all()
    assert (seen, teacher.vae.dtype) == ([decoded_in], torch.float16)


def test_the_pooled_text_is_what_the_network_is_given() -> None:
    for family, name in (("sdxl", "text_embeds"), ("sd3", "pooled_projections")):
        given = Teacher(TINY[family]()).condition(["a cat"], 7.5)
        assert torch.equal(given.pooled_BD, given.inputs[name][1:])


def test_latents_are_scaled_and_decode_undoes_it(tiny_teacher: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    z = teacher.encode(x)
    assert z.shape == (2, 8, 4, 4)
    torch.testing.assert_close(z, teacher.vae.encode(x).latent_dist.mode() * 0.5)
    torch.testing.assert_close(teacher.decode(z), teacher.vae.decode(z / 0.5).sample.clamp(-1, 1))


def test_pooled_text_ignores_padding(tiny_teacher: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    given = teacher.condition(["ab", "a longer text"], guidance_scale=1)
    tokens = len(teacher.pipeline.tokenizer("ab").input_ids)
    torch.testing.assert_close(given.pooled_BD[0], given.inputs["encoder_hidden_states"][0, :tokens].mean(0))


def test_noise_depends_on_seed_and_id_alone() -> None:
    assert derive_seed(0, "a") == 5690829181965289459
    seeds = [derive_seed(0, name) for name in "abc"]
    assert len({*seeds, derive_seed(1, "a")}) == 4
    whole = sample_noise(seeds, (2, 3, 3))
    for place, seed in enumerate(seeds):
        assert torch.equal(whole[place], sample_noise([seed], (2, 3, 3))[0])


def test_stock_diffusers_loads_the_demos_teacher_and_draws() -> None:
    stock = StableDiffusionPipeline.from_pretrained(Path(__file__).parents[3] / "deploy/demo/teacher")
    stock.set_progress_bar_config(disable=True)
    [image] = stock("a red apple", num_inference_steps=2).images
    assert image.size == (128, 128)
