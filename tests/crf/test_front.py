from pathlib import Path

import pytest

from crf.errors import InputError
from crf.front import Front
from crf.schedule import Schedule
from tests.support.fronts import make_front


def test_a_front_is_read_as_it_was_written(tmp_path: Path) -> None:
    front = make_front()
    (tmp_path / "schedule.json").write_text(front.format())
    assert Front.read(tmp_path / "schedule.json") == front


def test_it_chooses_the_recommended_schedule_or_the_one_of_so_many_evaluations() -> None:
    front = make_front()
    assert front.choose() == Schedule.parse("3@981,501,201 (dpm++)")
    assert front.choose(4) == Schedule.parse("4@981,721,401,161")
    assert make_front(recommended=None).choose() == front.choose(4)
    with pytest.raises(InputError, match="expected one of the front's numbers of evaluations, 4, 3, found 5"):
        front.choose(5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 2, "points": []}', '{"points": 3}'])
def test_something_else_is_rejected(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=r"give the schedule\.json of a search"):
        Front.read(tmp_path / "other.json")


def test_a_file_that_is_not_there_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a schedule\.json"):
        Front.read(tmp_path / "schedule.json")
