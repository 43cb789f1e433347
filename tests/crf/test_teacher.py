import shutil
from pathlib import Path

import pytest
import torch

from crf.noise import sample_noise, sample_seed
from crf.teacher import Teacher
from crf.teacher_folder import TeacherError, TeacherShape, check_teacher, teacher_fingerprints


@pytest.fixture
def copied(tiny_teacher: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_teacher, tmp_path / "copy"))


def flip_last_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_moving_the_folder_changes_no_fingerprint(tiny_teacher: Path, copied: Path) -> None:
    assert teacher_fingerprints(copied) == teacher_fingerprints(tiny_teacher)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_one_byte_changes_one_fingerprint(tiny_teacher: Path, copied: Path, part: str) -> None:
    flip_last_byte(next((copied / part).glob("*.safetensors")))
    before, after = teacher_fingerprints(tiny_teacher), teacher_fingerprints(copied)
    assert [name for name in before if before[name] != after[name]] == [part]


def test_what_is_no_teacher_is_refused(tmp_path: Path, copied: Path) -> None:
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


def test_latents_are_scaled_and_decode_undoes_it(tiny_teacher: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    z = teacher.encode(x)
    assert z.shape == (2, 8, 4, 4)
    torch.testing.assert_close(z, teacher.vae.encode(x).latent_dist.mode() * 0.5)
    torch.testing.assert_close(teacher.decode(z), teacher.vae.decode(z / 0.5).sample.clamp(-1, 1))


def test_pooled_text_ignores_padding(tiny_teacher: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    given = teacher.condition(["ab", "a longer text"], guidance=1)
    tokens = len(teacher.pipeline.tokenizer("ab").input_ids)
    torch.testing.assert_close(given.pooled_BD[0], given.inputs["encoder_hidden_states"][0, :tokens].mean(0))


def test_noise_depends_on_seed_and_id_alone() -> None:
    assert sample_seed(0, "a") == 5690829181965289459
    seeds = [sample_seed(0, name) for name in "abc"]
    assert len({*seeds, sample_seed(1, "a")}) == 4
    whole = sample_noise(seeds, (2, 3, 3))
    for place, seed in enumerate(seeds):
        assert torch.equal(whole[place], sample_noise([seed], (2, 3, 3))[0])
