import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crf.teacher.teacher import Teacher
from flows.encode import ENCODE
from flows.parameters.latents import EncodeParameters
from flows.stage import StageResult, plan_stage, run_stage
from storage import LatentStore
from storage.inputs.pixels import decode_image
from tests.support.file_opens import count_opens
from tests.support.pictures import encoded as encode_picture
from tests.support.teachers import save_tiny_teacher
from tests.support.without_ray import run_without_ray

pytestmark = pytest.mark.usefixtures("ray_local")


def parameters(images: Path | str, teacher: Path, root: Path | str, **more: int) -> EncodeParameters:
    return EncodeParameters(images=str(images), teacher=str(teacher), root=str(root), shard_rows=4, **more)


@pytest.fixture(scope="module")
def paper_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For 512 px -> 64x64x8."""
    return save_tiny_teacher(tmp_path_factory.mktemp("teacher"), latent_side=64)


@pytest.fixture(scope="module")
def encoded(drawings: Path, paper_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    """What the jobs on Ray, below, are compared with."""
    return run_without_ray(ENCODE, parameters(drawings, paper_teacher, tmp_path_factory.mktemp("runs")))


def test_a_folder_becomes_latents_and_text(encoded: StageResult, drawings: Path, paper_teacher: Path) -> None:
    assert (encoded.state, encoded.rows, encoded.valid, encoded.rejected) == ("computed", 10, 10, 0)
    store = LatentStore.open(encoded.url)
    assert store["latents"].shape == (10, 64, 64, 8), "the paper's shape"
    assert np.isfinite(np.asarray(store["latents"][:])).all()
    assert store.index["caption"].to_pylist()[:2] == ["drawing-0", "ellipse number 1"]
    assert store.provenance["inputs"]["teacher.vae"]
    teacher = Teacher.load(paper_teacher)
    pixels = decode_image((drawings / "drawing-7.png").read_bytes(), 512)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    latents = torch.from_numpy(np.asarray(store["latents"][7])).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(latents, teacher.encode(x), rtol=2e-3, atol=2e-3)
    text = torch.from_numpy(np.asarray(store["text"][7]))[None].float()
    torch.testing.assert_close(text, teacher.pooled_text(["ellipse number 7"]), rtol=2e-3, atol=2e-3)


def test_again_is_cached(encoded: StageResult, drawings: Path, paper_teacher: Path) -> None:
    params = parameters(drawings, paper_teacher, Path(encoded.url).parent.parent)
    assert run_stage(ENCODE, params, params.root) == encoded.model_copy(update={"state": "cached"})


def test_bad_images_keep_their_rows_and_each_is_opened_twice_at_most(
    encoded: StageResult, drawings: Path, paper_teacher: Path, tmp_path: Path
) -> None:
    """Each image is hashed by the plan and decoded by the run. All processes' opens are counted."""
    bad = Path(shutil.copytree(drawings, tmp_path / "drawings"))
    whole = (bad / "drawing-3.png").read_bytes()
    (bad / "drawing-1.png").write_bytes(b"this is text")
    (bad / "drawing-2.png").write_bytes(b"")
    (bad / "drawing-3.png").write_bytes(whole[: len(whole) // 2])
    (bad / "drawing-8.png").write_bytes(encode_picture(Image.new("1", (20000, 20000))))
    params = parameters(bad, paper_teacher, tmp_path / "runs")
    names = sorted(path.name for path in bad.iterdir())
    with count_opens(bad) as opens:
        plan_stage(ENCODE, params, params.root)
    assert opens == dict.fromkeys(names, 1)
    with count_opens(bad) as opens:
        result = run_stage(ENCODE, params, params.root)
    assert opens == {name: 1 for name in names if name.endswith(".png")}
    with count_opens(bad) as opens:
        assert run_stage(ENCODE, params, params.root).state == "cached"
        assert plan_stage(ENCODE, params, params.root).state == "fresh"
    assert opens == {}
    assert (result.state, result.rows, result.valid, result.rejected) == ("computed", 10, 6, 4)
    store = LatentStore.open(result.url)
    assert store.valid.tolist() == [i not in (1, 2, 3, 8) for i in range(10)]
    reasons = store.index["reason"].to_pylist()
    assert [reasons[i] is None for i in range(10)] == store.valid.tolist()
    for row, word in ((1, "unknown format"), (2, "empty"), (3, "truncated"), (8, "too large")):
        assert word in reasons[row]
    latents = np.asarray(store["latents"][:])
    assert np.isnan(latents[~store.valid]).all()
    expected = np.asarray(LatentStore.open(encoded.url)["latents"][:])
    np.testing.assert_array_equal(latents[store.valid], expected[store.valid])


def test_onto_a_gcs_server(encoded: StageResult, drawings: Path, paper_teacher: Path, gcs_root: str) -> None:
    params = parameters(drawings, paper_teacher, f"{gcs_root}/runs")
    assert plan_stage(ENCODE, params, params.root).state == "missing"
    result = run_stage(ENCODE, params, params.root)
    assert result.url == f"{gcs_root}/runs/encode/{encoded.fingerprint}"
    there, here = LatentStore.open(result.url), LatentStore.open(encoded.url)
    np.testing.assert_array_equal(np.asarray(there["latents"][:]), np.asarray(here["latents"][:]))
    assert there.index.equals(here.index)
    assert there.verify() == []
    assert plan_stage(ENCODE, params, params.root).state == "fresh"
    # Two shards of a smaller set: the server copies them, nothing is computed.
    fewer = parameters(drawings, paper_teacher, f"{gcs_root}/runs", limit=8)
    plan = plan_stage(ENCODE, fewer, fewer.root)
    assert (plan.state, plan.done, plan.total) == ("partial", 2, 2)
    assert (
        re.sub(r"\w{4} → \w{4}", "…", plan.reason)
        == f"changed: images …; 2 of 2 shards can be copied from {result.url}"
    )
    copied = LatentStore.open(run_stage(ENCODE, fewer, fewer.root).url)
    np.testing.assert_array_equal(np.asarray(copied["latents"][:]), np.asarray(here["latents"][:8]))
    assert copied.verify() == []
