from pathlib import Path

import pytest

from crf.front import Front
from crf.schedule import Schedule
from flows.commands.configs import EMBEDDED, load_config
from storage import UserError


@pytest.mark.parametrize("content", [b"teacher: [", b"teacher: a: b", b"teacher: \xff", b"\x00"])
def test_a_file_that_is_not_yaml_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^expected a YAML file, found .*config.yaml: .*; correct it$") as caught:
        load_config(str(file), None)
    assert "\n" not in str(caught.value)


def test_the_demos_search_is_on_its_late_crf() -> None:
    """Both files write the stages out: equal ones are not computed again."""
    late, search = (load_config(str(EMBEDDED["demo"].with_name(name)), None) for name in ("late.yaml", "search.yaml"))
    for name in ("teacher", "images", "captions", "heldout_captions", "encode", "teach", "train", "distill"):
        assert getattr(late, name) == getattr(search, name), name
    assert late.front
    assert search.calibrate_captions


def test_the_demo_trains_inside_the_schedule_that_its_search_found() -> None:
    demo = load_config("demo", None)
    front = Front.read(EMBEDDED["demo"].with_name("schedule.json"))
    trained = Schedule.parse(str(demo.distill.through))
    found = next(point for point in front.points if point.evaluations == trained.evaluations)
    assert trained.lead_timesteps == tuple(found.timesteps)
    assert trained.solver == Schedule.parse(found.schedule).solver
