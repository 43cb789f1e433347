import pytest

from crf.errors import ScheduleError
from crf.evaluation.methods import list_every_method, list_inside_methods, list_methods
from crf.schedule import Schedule
from crf.teacher.ddim import DiffusionSchedule
from crf.teacher.flow_matching import FlowSchedule

LEADING = DiffusionSchedule({"timestep_spacing": "leading", "steps_offset": 1})


def schedules(lead: str, tail: int | None = None) -> dict[str, str]:
    return {method.label: str(method.schedule) for method in list_methods(lead, LEADING, tail)}


def test_the_papers_rows_and_controls_of_the_same_cost() -> None:
    """Whoever changes a row gives ``evaluate`` a new version."""
    assert schedules("31/40") == {
        "full 50": "50/50",
        "converged": "100@981.. (dpm++)",
        "31 + CRF + 2": "31/40 + crf + 2/50",
        "31 + CRF + 2 @ 101, 21": "31/40 + crf + 2@101,21 (recomputed)",
        "31 + CRF + 0": "31/40 + crf",
        "31 + 0 + 2": "31/40 + 2/50",
        "31 + 0 + 0": "31/40",
        "33-step DDIM": "33/33",
        "33-step DDIM from 981": "33@981..",
        "33-step DPM++ from 981": "33@981.. (dpm++) (power 1)",
        "31 + scheduled jump (2)": "31/40 + 2@201,21",
        "31 + x0 + 2 @ 101, 21": "31/40 + x0 + 2@101,21 (consistent)",
        "step 31's own x0": "31/40 + x0",
    }
    methods = list_methods("31/40", LEADING)
    assert {m.schedule.evaluations for m in methods if m.kind not in ("reference", "floor")} == {31, 33}
    assert [m.key for m in methods][:3] == ["full_50", "converged", "crf_2"]


def test_a_crf_inside_is_compared_with_as_many_evaluations() -> None:
    inside = Schedule.parse("2@981,701 + crf + 2@401,101 + crf (dpm++)")
    assert {method.label: str(method.schedule) for method in list_inside_methods(inside, LEADING)} == {
        "full 50": "50/50",
        "converged": "100@981.. (dpm++)",
        "4 with the CRF inside": str(inside),
        "the same without the CRF": "4@981,701,401,101 (dpm++)",
        "4-step DDIM": "4/4",
        "4-step DDIM from 981": "4@981..",
        "4-step DPM++ from 981": "4@981.. (dpm++) (power 1)",
    }


def test_a_lead_with_its_own_start_has_a_control_that_starts_there() -> None:
    rows = schedules("23@981..301")
    assert rows["25-step DDIM from 981"] == "25@981.."
    assert rows["23 + CRF + 2 @ 151, 21"] == "23@981..301 + crf + 2@151,21 (recomputed)"
    assert rows["23 + scheduled jump (2)"] == "23@981..301 + 2@301,21"


@pytest.mark.parametrize(("lead", "ends"), [("15/40", 601), ("31/40 (trailing)", 224), ("39/40", 1)])
def test_the_controls_start_where_the_lead_ends(lead: str, ends: int) -> None:
    rows = {method.key: method.schedule for method in list_methods(lead, LEADING)}
    assert rows["jump_2"].tail_timesteps[0] == ends
    [placed] = {s.tail_timesteps for key, s in rows.items() if key.startswith("crf_") and s.tail_timesteps}
    assert placed[0] == (ends + 1) // 2


def test_where_a_lead_ends_follows_from_the_teachers_noise_schedule() -> None:
    rows = {method.key: str(method.schedule) for method in list_methods("31/40", FlowSchedule({"shift": 3.0}))}
    assert rows["jump_2"] == "31/40 + 2@440,21"


def test_the_tail_that_a_crf_was_trained_for_is_compared() -> None:
    rows = schedules("31/40", tail=61)
    assert rows["31 + CRF + 2 @ 61, 21"] == "31/40 + crf + 2@61,21 (recomputed)"
    assert rows["31 + x0 + 2 @ 61, 21"] == "31/40 + x0 + 2@61,21 (consistent)"


def test_the_brackets_of_a_lead_are_in_every_row_with_it() -> None:
    rows = schedules("31/40 (trailing)")
    assert rows["31 + CRF + 2"] == "31/40 + crf + 2/50 (trailing)"
    assert rows["step 31's own x0"] == "31/40 + x0 (trailing)"
    assert rows["33-step DDIM"] == "33/33"


@pytest.mark.parametrize("lead", ["31/40", "31@981..201", "15/40 (dpm++)", "100@999..301"])
def test_keys_and_labels_tell_all_methods_apart(lead: str) -> None:
    methods = list(list_every_method(lead, LEADING))
    assert len({method.key for method in methods}) == len({method.label for method in methods}) == len(methods)
    assert max(len(method.label) for method in methods) <= 30


@pytest.mark.parametrize("lead", ["31/40 + crf", "31 of 40", "33@981..", "40/40"])
def test_what_is_no_lead_is_rejected(lead: str) -> None:
    with pytest.raises(ScheduleError):
        list_methods(lead, LEADING)
