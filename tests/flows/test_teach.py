import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from crf.noise import sample_noise
from crf.sampling import follow
from crf.teacher import Teacher
from flows.parameters import TeachParameters
from flows.stage import StageResult, plan_stage, run_stage
from flows.teach import TEACH
from storage import LatentStore

pytestmark = pytest.mark.usefixtures("ray_local")


def parameters(captions: Path, teacher: Path, root: Path, **more: int) -> TeachParameters:
    return TeachParameters(captions=str(captions), teacher=str(teacher), root=str(root), shard_rows=4, **more)


@pytest.fixture(scope="module")
def captions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("captions") / "many.txt"
    file.write_text("".join(f"thing {number}\n" for number in range(48)))
    return file


@pytest.fixture(scope="module")
def taught(
    captions_file: Path, tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    params = parameters(captions_file, tiny_teacher, tmp_path_factory.mktemp("runs"))
    return run_stage(TEACH, params, params.root)


def test_rows_are_trajectories_of_their_own_seeds(taught: StageResult, tiny_teacher: Path) -> None:
    store = LatentStore.open(taught.url)
    assert (len(store), store.names) == (48, ["step_40", "step_50", "text"])
    teacher = Teacher.load(tiny_teacher)
    noise = sample_noise([int(store["seed"][30])], (8, 4, 4))
    given = teacher.condition(["thing 30"], 7.5)
    path = teacher.levels.path(50)
    for name, steps in (("step_40", 40), ("step_50", 50)):
        expected = follow(teacher, noise, path[:steps], given).state
        stored = torch.from_numpy(np.asarray(store[name][30])).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(stored, expected, rtol=5e-3, atol=5e-3)
    assert store.provenance["timesteps"][:2] == [981, 961]
    assert store.provenance["parameters"]["guidance"] == 7.5


def content(url: str) -> dict[str, str]:
    """Every object of a store, of the commit records what does not tell how it was made -> its hash."""
    hashes = {}
    for file in sorted(Path(url).rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            if file.parent.name == "commits" and file.name[:5].isdigit():
                record = json.loads(data)
                for key in ("timing", "copied_from", "digest"):  # the record's own checksum covers the others
                    record.pop(key, None)
                data = json.dumps(record, sort_keys=True).encode()
            hashes[str(file.relative_to(url))] = hashlib.sha256(data).hexdigest()
    return hashes


def test_killed_in_the_middle_and_run_again_gives_the_same_bytes(
    taught: StageResult, captions_file: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    disturbed = parameters(captions_file, tiny_teacher, tmp_path / "disturbed")
    code = (
        "from flows.parameters import TeachParameters\n"
        "from flows.stage import run_stage\n"
        "from flows.teach import TEACH\n"
        f"p = TeachParameters(**{disturbed.model_dump()!r}); run_stage(TEACH, p, p.root)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    commits = tmp_path / "disturbed" / "teach" / taught.fingerprint / "commits"
    deadline = time.monotonic() + 120
    while not (first := {file.name: file.stat().st_mtime_ns for file in commits.glob("0*.json")}):
        assert driver.poll() is None, "the driver ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    plan = plan_stage(TEACH, disturbed, disturbed.root)
    assert plan.state == "partial"
    assert 0 < plan.done < plan.total == 12
    assert f"{plan.done} of 12 shards" in plan.reason

    result = run_stage(TEACH, disturbed, disturbed.root)
    assert result.state == "computed"
    assert content(result.url) == content(taught.url)
    assert {name: (commits / name).stat().st_mtime_ns for name in first} == first, "a committed shard was written again"


def test_ended_before_the_seal_and_run_again_only_seals(
    taught: StageResult, captions_file: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    params = parameters(captions_file, tiny_teacher, tmp_path)
    copy = Path(shutil.copytree(taught.url, tmp_path / "teach" / taught.fingerprint))
    (copy / "manifest.json").unlink()
    assert plan_stage(TEACH, params, params.root).state == "partial"
    assert run_stage(TEACH, params, params.root).state == "computed"
    assert content(str(copy)) == content(taught.url)


def test_a_set_that_grew_computes_only_its_new_shards(
    taught: StageResult, captions_file: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    """And gives, to the byte, what was computed from nothing."""
    first_forty = parameters(captions_file, tiny_teacher, Path(taught.url).parent.parent, limit=40)
    older = run_stage(TEACH, first_forty, first_forty.root)  # all of it is copied
    params = parameters(captions_file, tiny_teacher, tmp_path)
    copy = shutil.copytree(older.url, tmp_path / "teach" / older.fingerprint)
    plan = plan_stage(TEACH, params, params.root)
    assert (plan.state, plan.done, plan.total) == ("partial", 10, 12)
    assert plan.reason == f"changed: captions; 10 of 12 shards can be copied from {copy}"
    result = run_stage(TEACH, params, params.root)
    assert content(result.url) == content(taught.url)
    records = [json.loads(file.read_text()) for file in sorted(Path(result.url).glob("commits/0*.json"))]
    assert ["copied_from" in record for record in records] == [True] * 10 + [False] * 2
