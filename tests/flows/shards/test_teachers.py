"""A teacher at a gs:// URL is the same teacher as that in a local folder."""

from pathlib import Path
from typing import Any

import pytest

from crf.errors import TeacherError
from crf.teacher.folder import fingerprint_teacher
from flows.encode import ENCODE
from flows.parameters.latents import EncodeParameters, TeachParameters
from flows.shards.teachers import fingerprint_parts, fingerprint_scheduler, read_shape
from flows.stage import Stage, run_stage
from flows.teach import TEACH
from storage import LatentStore, locations
from storage.model_files.disk import VARIABLE
from tests.support.stores import read_content
from tests.support.without_ray import run_without_ray

pytestmark = pytest.mark.usefixtures("ray_local")


@pytest.fixture(scope="module")
def teacher_url(tiny_teacher: Path, gcs_root: str) -> str:
    url = f"{gcs_root}/teachers/tiny"
    for file in tiny_teacher.rglob("*"):
        if file.is_file():
            locations.write_bytes(f"{url}/{file.relative_to(tiny_teacher).as_posix()}", file.read_bytes())
    return url


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_configs_are_enough_for_shape_and_scheduler(tiny_teacher: Path, teacher_url: str, cache: Path) -> None:
    assert read_shape(teacher_url) == read_shape(str(tiny_teacher))
    assert fingerprint_scheduler(teacher_url) == fingerprint_teacher(tiny_teacher)["scheduler"]
    assert not list(cache.rglob("*.safetensors"))


def test_encode_and_teach_make_the_same_bytes(
    tiny_teacher: Path, teacher_url: str, drawings: Path, captions: Path, tmp_path: Path
) -> None:
    assert fingerprint_parts(teacher_url, str(tmp_path)) == fingerprint_teacher(tiny_teacher)
    encode = EncodeParameters(images=str(drawings), teacher=teacher_url, root=str(tmp_path / "there"), limit=3)
    teach = TeachParameters(captions=str(captions), teacher=teacher_url, root=str(tmp_path / "there"), limit=2)
    local = {"teacher": str(tiny_teacher), "root": str(tmp_path / "here")}
    jobs: list[tuple[Stage[Any], Any]] = [(ENCODE, encode), (TEACH, teach)]
    for stage, params in jobs:
        there = run_stage(stage, params, params.root)
        here = run_without_ray(stage, params.model_copy(update=local))
        assert here.fingerprint == there.fingerprint
        assert LatentStore.open(there.url).valid.all()
        assert read_content(here.url) == read_content(there.url)


def test_errors_name_the_url(gcs_root: str, teacher_url: str) -> None:
    pickled = f"{gcs_root}/teachers/pickled"
    for name in locations.find(teacher_url):
        locations.copy(f"{teacher_url}/{name}", f"{pickled}/{name.replace('.safetensors', '.bin')}")
    with pytest.raises(TeacherError, match=f"safetensors weights in {pickled}/"):
        read_shape(pickled)
    url = f"{gcs_root}/teachers/broken"
    locations.write_bytes(f"{url}/model_index.json", b'{"_class_name": "Other"}')
    with pytest.raises(TeacherError, match=f"Other at {url}"):
        read_shape(url)
