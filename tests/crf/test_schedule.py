from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crf.errors import ScheduleError
from crf.sampling.guidance import plan_guidance
from crf.schedule import PAPER, Schedule, make_default_schedule


@pytest.mark.parametrize(
    ("text", "evaluations"),
    [
        ("50/50", 50),
        ("31/40 + crf + 2/50", 33),
        ("31/40 + crf", 31),
        ("31/40 + 2/50", 33),
        ("31/40", 31),
        ("31/40 + x0", 31),
        ("31/40 + 2@201,21", 33),
        ("31/40 + crf + 2@101,21", 33),
        ("19/20 + crf + 1/20", 20),
        ("31/40 + crf + 2@101,21 (recomputed)", 33),
        ("31/40 + x0 + 1/50 (fresh)", 32),
        ("33/33 (dpm++)", 33),
        ("33@981..", 33),
        ("31@981..201 + crf + 2@101,21 (recomputed)", 33),
        ("31/40 + crf + 2/50 (consistent) (dpm++)", 33),
        ("50/50 (trailing)", 50),
        ("31/40 + crf + 2/50 (fresh) (leading)", 33),
        ("33@981.. (dpm++)", 33),
        ("4@981,721,401,161", 4),
        ("1@981", 1),
        ("4@981,721,401,301..201 + crf + 2@101,21 (recomputed)", 6),
        ("4@1000,993.2421875,401.5,8.9", 4),
        ("17@981.. (dpm++) (power 1.15)", 17),
        ("17@981.. (unipc) (karras)", 17),
        ("10@981.. (dpm++3m) (ays)", 10),
        ("50/50 (deepcache 3)", 50),
        ("31/40 + 2@201,21 (deepcache 2, extrapolated), guided to 401", 33),
        ("31@981..201, guided to 401", 31),
        ("31@981.. (dpm++), guided 901 to 401", 31),
        ("4@981,911,841,771 + crf + 3@641,521,401 + crf + 2@241,101 + crf", 9),
        ("4@981..701 + crf + 3@641,521,401 + crf + 2@241,101 + crf", 9),
        ("2@981,911 + crf + 3@641,521,401..201 + crf + 1@101 + crf + 1@21 (recomputed)", 7),
        ("2@981,911.. + crf (dpm++)", 2),
        ("1@981 + crf + 1@911 (dpm++), guided to 401", 2),
        ("33@981.., guidance every 2", 33),
        ("31/40 + 2@201,21 (dpm++), guided 901 to 401, guidance every 3 below 700", 33),
    ],
)
def test_parsed_counted_and_printed(text: str, evaluations: int) -> None:
    schedule = Schedule.parse(text)
    assert schedule.evaluations == evaluations
    assert str(schedule) == text
    assert Schedule.parse(str(schedule)) == schedule


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any that can be run."""
    lead_of, tail_of = draw(st.integers(2, 1000)), draw(st.integers(1, 1000))
    places = draw(st.sets(st.integers(0, 999), max_size=5))
    own = draw(st.booleans())
    tail = len(places) if own else draw(st.integers(0, tail_of))
    first: dict[str, Any] = {"lead": draw(st.integers(1, lead_of - 1)), "lead_of": lead_of}
    spacings = ["", "leading", "trailing"]
    kind = draw(st.sampled_from(["steps", "from", "timesteps"]))
    if kind == "from":
        lead_from = draw(st.integers(2, 1000))
        lead_to = draw(st.integers(1, lead_from - 1))
        first = {"lead": draw(st.integers(1, lead_from - lead_to)), "lead_from": lead_from, "lead_to": lead_to}
        spacings += ["karras", "ays", "ays-xl", "power 1.15"]
    elif kind == "timesteps":
        timestep = st.integers(2, 1000) | st.floats(2, 1000, width=32)
        timesteps = draw(st.sets(timestep, min_size=2, max_size=9))
        first = {"lead": len(timesteps), "lead_timesteps": tuple(sorted(timesteps, reverse=True)), "lead_to": 1}
    lead = first["lead"]
    corrections = draw(st.sets(st.integers(1, lead - 1))) if kind == "timesteps" else set()
    if own and tail:
        corrections |= draw(st.sets(st.integers(lead + 1, lead + tail)))
    guided_to = draw(st.integers(0, 500))
    return Schedule(
        **first,
        middle=draw(st.sampled_from(["", "crf", "x0"])),
        tail=tail,
        tail_of=0 if own or not tail else tail_of,
        tail_timesteps=tuple(sorted(places, reverse=True)) if own else (),
        renoise=draw(st.sampled_from(["direct", "consistent", "recomputed", "fresh"])),
        solver=draw(st.sampled_from(["ddim", "dpm++", "dpm++3m", "unipc"])),
        spacing=draw(st.sampled_from(spacings)),
        deepcache=(interval := draw(st.integers(1, 5))),
        guidance_every=(every := draw(st.integers(1, 5)) if interval == 1 else 1),
        guidance_every_below=draw(st.none() | st.integers(1, 999)) if every > 1 else None,
        extrapolated=interval > 1 and draw(st.booleans()),
        corrections=tuple(sorted(corrections)),
        guided_to=guided_to,
        guided_from=draw(st.one_of(st.none(), st.integers(guided_to, 1000))),
    )


@given(schedules())
def test_any_schedule_is_read_as_it_is_printed(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "", "50", "crf", "50/40", "0/40", "31/40 + crf + 3/2", "31/40 + 2@201", "31/40 + 2@21,201", "31/40 + crf + crf",
        "31/40 + 2/50 + 2/50", "31/40 + banana", "31/40 + 2@5000,21", "40/40 + crf + 2/50 (recomputed)", "5/5 (ddpm)",
        "31@981..990", "31@30..1", "31@1981..", "3@981,1 (dpm++)", "2@1,981", "2@981,201..301",
        "17/17 (karras)", "3@981,501,1 (power 1.15)", "17@981.. (power)", "17@981.. (deepcache)", "50/50 (deepcache 0)",
        "33@981.., guided to", "33@981.., guided 201 to 401", "33@981.., guided at 401",
        "33@981.., guidance every 0", "33@981.., guidance every 1 below 700", "50/50 (deepcache 2), guidance every 2",
        "33@981.. + crf + 2/50 (recomputed)", "31@201", "2@981,911 + crf + 2/50", "2@981,911 + crf + crf",
        "3@981,911 + crf + 1@641,521", "2@981,911 + crf + 2@901,911", "31/40 + crf + 2/50 + crf",
        "2@981,911 + crf + 3@641..401", "crf + 2@981,911", "2@981,911 + x0 + 1@21 + crf + x0",
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_rejected(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"lead": 41},
        {"corrections": (1,)},
        {"tail": 3, "tail_of": 2},
        {"tail": 2, "tail_timesteps": (21, 201)},
        {"tail_timesteps": (21,)},
    ],
)
def test_a_changed_schedule_is_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError, match=r"^expected .*, found '.*'; "):
        replace(Schedule.parse("31/40 + crf"), **changes)


def test_the_schedule_that_a_crf_was_distilled_for() -> None:
    assert str(make_default_schedule(None)) == PAPER
    assert str(make_default_schedule("31@981..201 (trailing)")) == "31@981..201 + crf + 2/50 (trailing)"
    assert str(make_default_schedule("31/40", 101)) == "31/40 + crf + 2@101,21 (recomputed)"
    assert str(make_default_schedule("31/40", 1)) == "31/40 + crf + 1@1 (recomputed)"


def test_a_crf_behind_written_timesteps_corrects_and_one_behind_a_lead_hands_over() -> None:
    corrected = Schedule.parse("2@981,911 + crf + 2@641,521 + crf")
    assert (corrected.lead_timesteps, corrected.corrections) == ((981, 911, 641, 521), (2, 4))
    assert (corrected.middle, corrected.crfs, corrected.first) == ("", 2, corrected)
    both = Schedule.parse("1@981 + crf + 1@911..701 + crf + 1@641 + crf + 1@521 + crf")
    assert (both.middle, both.corrections, both.crfs) == ("crf", (1, 3, 4), 4)
    assert (str(both.first), both.first.crfs) == ("1@981 + crf + 1@911..701", 1)
    with pytest.raises(ScheduleError, match="expected a lead alone"):
        Schedule.parse_lead("2@981,911 + crf + 2@641,521")


def test_guidance_is_computed_where_the_schedule_says_and_reused_in_between() -> None:
    def plan(text: str) -> str:
        schedule = Schedule.parse(f"8@900,800,700,600,500,400,300,200{text}")
        return "".join(each[0] for each in plan_guidance(schedule, schedule.lead_timesteps))

    assert plan("") == "c" * 8
    assert plan(", guidance every 2") == "crcrcrcr"
    assert plan(", guidance every 3 below 600") == "ccccrrcr"
    assert plan(", guided 800 to 400, guidance every 3") == "ncrrcrnn"


def test_a_lead_is_a_first_part_alone() -> None:
    assert Schedule.parse_lead("31/40") == Schedule.parse("31/40")
    with pytest.raises(ScheduleError, match="expected a lead alone"):
        Schedule.parse_lead("31/40 + crf + 2/50")
