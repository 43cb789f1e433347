from pathlib import Path
from typing import Any

import pytest

from flows.reproduce.paper import TABLES
from flows.reproduce.reports import Report, read_report
from flows.reproduce.side_by_side import Line, compare_with_paper
from tests.support.reports import make_report, make_row, write_report


def read(root: Path, report: dict[str, Any], name: str = "one") -> Report:
    return read_report(write_report(root, report, name))


def get_line(lines: list[Line], method: str, quantity: str) -> Line:
    [line] = [each for each in lines if (each.method, each.quantity) == (method, quantity)]
    return line


def get_values(lines: list[Line]) -> dict[str, float | None]:
    return {line.method: line.ours.value if line.ours else None for line in lines}


def like_the_paper(**crf: Any) -> dict[str, Any]:
    """A report that follows coco30k."""
    protocol = {
        "features": {"name": "Inception v3"},
        "captions": {"count": 30_000},
        "images": {"count": 40_504},
        "noises": 1,
        "vendi": {"captions": 0, "noises": 4},
        "guidance_scale": 7.5,
        "size": 512,
    }
    return {**make_report(**crf), "protocol": protocol}


def test_rows_are_found_by_key_and_schedule(tmp_path: Path) -> None:
    lines = compare_with_paper(TABLES["4"], [read(tmp_path, make_report())])
    assert get_values(lines) == {
        "31 + CRF + 2": 296.1,
        "31 + CRF + 0": None,
        "31 + 0 + 2": 324.4,
        "31 + 0 + 0": None,
        "LDM": 294.9,
    }
    missing = get_line(lines, "31 + CRF + 0", "fid").missing
    assert missing[0] == "not run"
    assert "latentcrf evaluate --protocol coco30k --features INCEPTION" in missing[1]


def test_a_floor_is_not_the_teacher(tmp_path: Path) -> None:
    report = make_report()
    report["rows"].insert(0, make_row("other_noises", "50/50", "floor", 5.0, 300.0, 2.5))
    assert get_values(compare_with_paper(TABLES["4"], [read(tmp_path, report)]))["LDM"] == 294.9


def test_what_differs_is_listed(tmp_path: Path) -> None:
    report = make_report(crf_input="x0+state")
    report["rows"][1]["schedule"] = "31@981..201 + crf + 2/50"
    lines = compare_with_paper(TABLES["4"], [read(tmp_path, report)])
    ours = get_line(lines, "31 + CRF + 2", "fid").ours
    assert ours
    assert [each.short for each in ours.differences] == [
        "teacher",
        "too few samples",
        "64 captions",
        "376 real images",
        "features",
        "guidance 4",
        "128 px",
        "steps",
        "form of the CRF",
    ]
    assert ours.differences[-1].instead == "crf_input x0+state (the paper's: state)"


def test_the_papers_own_settings_leave_the_teacher(tmp_path: Path) -> None:
    lines = compare_with_paper(TABLES["4"], [read(tmp_path, like_the_paper())])
    ours = get_line(lines, "31 + CRF + 2", "fid").ours
    assert ours
    assert [each.short for each in ours.differences] == ["teacher"]


def test_diversity_is_compared_on_the_captions_that_have_several_noises(tmp_path: Path) -> None:
    ours = get_line(compare_with_paper(TABLES["3"], [read(tmp_path, make_report())]), "LDM", "vendi").ours
    assert ours
    assert [each.short for each in ours.differences] == [
        "teacher",
        "8 captions",
        "features",
        "noises 4",
        "guidance 4",
        "128 px",
    ]


def test_a_crf_without_a_component_belongs_to_its_own_row(tmp_path: Path) -> None:
    forms: list[dict[str, bool]] = [{}, {"with_higher_order": False}, {"with_higher_order": False, "with_text": False}]
    reports = [read(tmp_path, make_report(**form), str(number)) for number, form in enumerate(forms)]
    lines = compare_with_paper(TABLES["5"], reports[1:])
    assert get_line(lines, "text and higher order", "fid").missing[0] == "not run"
    lines = compare_with_paper(TABLES["5"], reports)
    assert [line.ours and line.ours.report for line in lines] == [1, 2, 3, None, None, None]
    command = get_line(compare_with_paper(TABLES["5"], reports[:1]), "neither", "fid").missing[1]
    assert "latentcrf train --crf.no-with-higher-order --crf.no-with-text" in command


def test_a_crf_without_text_alone_is_in_no_row(tmp_path: Path) -> None:
    lines = compare_with_paper(TABLES["5"], [read(tmp_path, make_report(with_text=False))])
    assert not any(line.ours for line in lines)


def test_the_report_nearest_to_the_paper_is_taken(tmp_path: Path) -> None:
    reports = [read(tmp_path, make_report(), "demo"), read(tmp_path, like_the_paper(), "coco")]
    ours = get_line(compare_with_paper(TABLES["4"], reports), "LDM", "fid").ours
    assert ours
    assert ours.report == 2


def test_time_saved_and_drop_in_vendi_are_relative_to_the_teacher(tmp_path: Path) -> None:
    lines = compare_with_paper(TABLES["3"], [read(tmp_path, make_report())])
    saved, drop = (get_line(lines, "31 + CRF + 2", name).ours for name in ("time_saved", "vendi_drop"))
    assert saved
    assert drop
    assert saved.value == pytest.approx(30)
    assert drop.value == pytest.approx(4)
    assert [each.short for each in saved.differences] == ["teacher", "machine"]


def test_a_schedule_of_20_steps_is_found_wherever_it_stands(tmp_path: Path) -> None:
    report = make_report()
    lines = compare_with_paper(TABLES["A.2"], [read(tmp_path, report, "without")])
    assert "--schedules '19/20 + crf + 1/20'" in get_line(lines, "19 + CRF + 1", "fid").missing[1]
    report["rows"].append(make_row("schedule_0", "19/20 + crf + 1/20", "crf", 2.0, 300.0, 2.4))
    lines = compare_with_paper(TABLES["A.2"], [read(tmp_path, report, "with")])
    ours = get_line(lines, "19 + CRF + 1", "time_saved").ours
    assert ours
    assert ours.value == pytest.approx(60)


def test_a_figure_that_the_report_leaves_out(tmp_path: Path) -> None:
    line = get_line(compare_with_paper(TABLES["1"], [read(tmp_path, make_report())]), "31 + CRF + 2", "clip")
    assert line.ours is None
    assert line.missing == ("no figure", "it needs the features of a CLIP network")


@pytest.mark.parametrize("number", ["2", "6"])
def test_a_table_that_cannot_be_measured_here_says_why(number: str, tmp_path: Path) -> None:
    lines = compare_with_paper(TABLES[number], [read(tmp_path, make_report())])
    assert all(line.missing for line in lines if line.ours is None)
    assert any(line.missing[:1] == ("not measured here",) for line in lines)
