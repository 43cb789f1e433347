"""The transcription. The sums were added up by hand from the paper's text."""

import pytest

from crf.schedule import Schedule
from flows.reproduce.paper import TABLES, UNKNOWN, PaperTable


def list_values(table: PaperTable, quantity: str) -> list[float]:
    printed = [row.printed[name] for row in table.rows for name in row.printed if name == quantity]
    return [figure.value for figure in printed if figure.value is not None]


def test_there_is_every_table() -> None:
    assert list(TABLES) == ["1", "2", "3", "4", "5", "6", "A.1", "A.2"]
    assert all(table.number == number for number, table in TABLES.items())


def test_the_pipeline_ablation() -> None:
    values = list_values(TABLES["4"], "fid")
    assert values == [11.58, 11.74, 19.72, 21.85, 12.75]
    assert sum(values) == pytest.approx(77.64)


def test_the_component_ablation() -> None:
    values = list_values(TABLES["5"], "fid")
    assert values[:3] == [11.58, 11.62, 11.78]  # base
    assert values[3:] == [11.27, 11.58, 11.72]  # large
    assert sum(values) == pytest.approx(69.55)


@pytest.mark.parametrize(
    ("number", "quantity", "values"),
    [
        ("1", "fid", [12.75, 11.58]),
        ("1", "time_saved", [33]),
        ("3", "vendi_drop", [40, 30, 4, 0]),
        ("3", "time_saved", [33, 33]),
        ("6", "time_saved", [50]),
        ("A.1", "vendi_drop", [4]),
        ("A.2", "time_saved", [33, 50]),
    ],
)
def test_what_the_sections_say(number: str, quantity: str, values: list[float]) -> None:
    assert list_values(TABLES[number], quantity) == values


def test_the_number_of_unknown_figures() -> None:
    unknown = {
        number: sum(figure is UNKNOWN for row in table.rows for figure in row.printed.values())
        for number, table in TABLES.items()
    }
    assert unknown == {"1": 8, "2": 4, "3": 9, "4": 0, "5": 0, "6": 1, "A.1": 8, "A.2": 1}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_number_is_the_one_in_its_text(table: PaperTable) -> None:
    for row in table.rows:
        assert set(row.printed) <= set(table.quantities)
        assert bool(row.ours) != bool(row.why_not)
        for figure in row.printed.values():
            if figure.value and figure is not UNKNOWN:
                assert f"{figure.value:g}" in figure.text


def test_the_schedules_can_be_run() -> None:
    schedules = {row.ours.schedule for table in TABLES.values() for row in table.rows if row.ours}
    assert {str(Schedule.parse(text)) for text in schedules} == schedules
