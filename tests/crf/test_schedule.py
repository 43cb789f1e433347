import pytest

from crf.schedule import Schedule, ScheduleError


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
        ("31/40 + crf + 2/50 (consistent) (dpm++)", 33),
    ],
)
def test_parsed_counted_and_printed(text: str, evaluations: int) -> None:
    schedule = Schedule.parse(text)
    assert schedule.evaluations == evaluations
    assert str(schedule) == text
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "", "50", "crf", "50/40", "0/40", "31/40 + crf + 3/2", "31/40 + 2@201", "31/40 + 2@21,201", "31/40 + crf + crf",
        "31/40 + 2/50 + 2/50", "31/40 + banana", "31/40 + 2@5000,21", "40/40 + crf + 2/50 (recomputed)", "5/5 (ddpm)",
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)


def test_a_lead_is_a_first_part_alone() -> None:
    assert Schedule.parse_lead("31/40") == Schedule.parse("31/40")
    with pytest.raises(ScheduleError, match="first part of a schedule alone"):
        Schedule.parse_lead("31/40 + crf + 2/50")
