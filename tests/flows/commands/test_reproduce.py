import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.reproduce.paper import TABLES
from tests.support.reports import make_report, write_report

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("number", TABLES)
def test_every_table_as_text_and_markdown(number: str, tmp_path: Path, latentcrf: Command) -> None:
    """Each figure of the paper is printed, and what differs comes first."""
    url = write_report(tmp_path, make_report())
    printed = [figure.text for row in TABLES[number].rows for figure in row.printed.values()]
    code, text, _ = latentcrf("reproduce", number, "--report", url)
    assert code == 0
    assert all(figure in text for figure in printed)
    assert text.splitlines()[1].startswith("what differs")
    code, markdown, _ = latentcrf("reproduce", number, "--root", str(tmp_path), "--markdown")
    assert code == 0
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert table[0].startswith("| what differs |")
    assert len({line.count("|") for line in table}) == 1
    assert len(table) >= 2 + len(printed)
    assert url in markdown


def test_no_figure_of_ours_stands_without_what_differs(tmp_path: Path, latentcrf: Command) -> None:
    url = write_report(tmp_path, make_report())
    for number in TABLES:
        found = json.loads(latentcrf("reproduce", number, "--report", url, "--json")[1])
        for figure in found["figures"]:
            assert bool(figure["ours"]) == bool(figure["what_differs"])
            assert bool(figure["ours"]) != bool(figure["missing"])
            assert figure["ours"] is None or figure["what_differs"][0]["short"] == "teacher"


def test_json_has_both_figures(tmp_path: Path, latentcrf: Command) -> None:
    urls = [write_report(tmp_path, make_report(), "a"), write_report(tmp_path, make_report(with_text=False), "b")]
    found = json.loads(latentcrf("reproduce", "4", "--report", urls[0], "--report", urls[1], "--json")[1])
    assert [report["url"] for report in found["reports"]] == urls
    first = found["figures"][0]
    assert (first["method"], first["quantity"]) == ("31 + CRF + 2", "fid")
    assert first["paper"] == {"text": "11.58", "value": 11.58, "source": ""}
    assert first["ours"] == {"value": 296.1, "report": 1}


def test_without_any_evaluation_the_paper_stands_alone(tmp_path: Path, latentcrf: Command) -> None:
    code, text, _ = latentcrf("reproduce", "4", "--root", str(tmp_path))
    assert code == 0
    assert "19.72" in text
    assert "not run: 31 + CRF + 2" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["7"], "7"),
        (["4", "--report", "{tmp}/nothing"], "expected an evaluation's report, found no {tmp}/nothing/report.json"),
    ],
)
def test_a_users_mistake(arguments: list[str], words: str, tmp_path: Path, latentcrf: Command) -> None:
    code, out, error = latentcrf("reproduce", *[argument.format(tmp=tmp_path) for argument in arguments])
    assert (code, out) == (2, "")
    assert words.format(tmp=tmp_path) in error
    assert error.count("\n") == 1
