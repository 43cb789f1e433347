import pytest

from crf.errors import ScheduleError
from crf.evaluation.methods import list_methods


def schedules(lead: str) -> dict[str, str]:
    return {method.label: str(method.schedule) for method in list_methods(lead)}


def test_the_papers_rows_and_controls_of_the_same_cost() -> None:
    rows = schedules("31/40")
    assert rows["full 50"] == "50/50"
    assert rows["31 + CRF + 2"] == "31/40 + crf + 2/50"
    assert rows["31 + 0 + 2"] == "31/40 + 2/50"
    assert rows["31 + scheduled jump (2)"] == "31/40 + 2@201,21"
    assert rows["33-step DDIM"] == "33/33"
    assert not any("from" in label for label in rows)
    compared = {row.key: row.schedule.evaluations for row in list_methods("31/40") if row.key != "full_50"}
    assert set(compared.values()) == {31, 33}


def test_a_lead_with_a_beginning_of_its_own_has_a_control_that_begins_there() -> None:
    rows = schedules("23@981..301")
    assert rows["25-step DDIM from 981"] == "25@981.."
    assert rows["23 + CRF + 2 placed"] == "23@981..301 + crf + 2@151,21 (recomputed)"
    assert rows["23 + scheduled jump (2)"] == "23@981..301 + 2@301,21"


def test_what_stands_in_brackets_is_of_every_row_with_that_lead() -> None:
    rows = schedules("31/40 (trailing)")
    assert rows["31 + CRF + 2"] == "31/40 + crf + 2/50 (trailing)"
    assert rows["step 31's own x0"] == "31/40 + x0 (trailing)"
    assert rows["33-step DDIM"] == "33/33"


@pytest.mark.parametrize("lead", ["31/40 + crf", "31 of 40", "33@981.."])
def test_what_is_no_lead_is_refused(lead: str) -> None:
    with pytest.raises(ScheduleError):
        list_methods(lead)
