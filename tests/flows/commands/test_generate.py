from pathlib import Path

import pytest

from crf.schedule import Schedule
from crf.teacher.folder import fingerprint_teacher
from flows.commands.generate import find_newest_crf, read_schedule
from storage import Identity, UserError
from storage.seals import TrainingManifest, seal_output
from tests.support.fronts import make_front


def test_the_newest_crf_of_a_bucket(gcs_root: str) -> None:
    root = f"{gcs_root}/generate"
    identity = Identity("distill", 1, {}, {"steps": 1})
    identity.write(root)
    seal_output(identity.url(root), TrainingManifest(objects={}, steps=1, workers=0, provenance={}))
    assert find_newest_crf(root) == identity.url(root)


def test_a_schedule_is_text_a_text_file_or_the_front_of_a_search(tiny_teacher: Path, tmp_path: Path) -> None:
    teacher, front = str(tiny_teacher), make_front(teacher=fingerprint_teacher(tiny_teacher))
    (tmp_path / "schedule.json").write_text(front.format())
    (tmp_path / "long.txt").write_text("4@981,721,401,161\n")
    assert read_schedule("50/50", None, teacher, 4.0, str(tmp_path)) == Schedule.parse("50/50")
    assert read_schedule(str(tmp_path / "long.txt"), None, teacher, 4.0, str(tmp_path)) == front.choose(4)
    assert read_schedule(str(tmp_path / "schedule.json"), None, teacher, 4.0, str(tmp_path)) == front.choose()
    assert read_schedule(str(tmp_path / "schedule.json"), 4, teacher, 4.0, str(tmp_path)) == front.choose(4)
    assert read_schedule(None, None, teacher, 4.0, str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "steps", "guidance_scale", "message"),
    [
        ("nowhere.json", None, 4.0, "expected a file with a schedule, found none at"),
        ("schedule.json", None, 7.5, "expected guidance scale 4, .* found 7.5; add --guidance-scale 4"),
        ("other.json", None, 4.0, "expected a front of this teacher, found one of another unet"),
        (None, 17, 4.0, "expected a schedule.json with --num-inference-steps, found no --schedule"),
    ],
)
def test_a_front_that_does_not_fit_is_rejected(
    name: str | None, steps: int | None, guidance_scale: float, message: str, tiny_teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "schedule.json").write_text(make_front(teacher=fingerprint_teacher(tiny_teacher)).format())
    (tmp_path / "other.json").write_text(make_front().format())
    with pytest.raises(UserError, match=message):
        read_schedule(str(tmp_path / name) if name else None, steps, str(tiny_teacher), guidance_scale, str(tmp_path))
