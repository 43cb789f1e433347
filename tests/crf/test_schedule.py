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
        "31/40 + 2/50 + 2/50", "31/40 + banana",
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)
