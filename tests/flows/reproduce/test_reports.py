import json
from pathlib import Path
from typing import Any

import pytest

from flows.reproduce.reports import find_reports, read_report
from storage import UserError
from tests.support.reports import make_report, write_report


def test_the_newest_below_the_root(tmp_path: Path) -> None:
    assert find_reports([], str(tmp_path)) == []
    write_report(tmp_path, make_report(), "one")
    url = write_report(tmp_path, make_report(), "two")
    [found] = find_reports([], str(tmp_path))
    assert found.url == url
    assert found.reference
    assert found.reference.key == "full_50"


def test_the_page_that_evaluate_printed(tmp_path: Path) -> None:
    url = write_report(tmp_path, make_report())
    assert read_report(f"{url}/report.html") == read_report(url)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"rows": [], "samples": 3}, "expected a report of version 2, found 1 in"),
        ({**make_report(), "version": 3}, "found 3 in .*; update latentcrf"),
        ({**make_report(), "rows": [{"key": "crf_2"}]}, "found rows.0.schedule: Field required in"),
        ([1, 2], "found JSON: "),
    ],
)
def test_another_file_is_a_clear_error(content: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=words):
        read_report(str(tmp_path))


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected an evaluation's report, found no .*report.json; give the URL"):
        read_report(str(tmp_path))
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(UserError, match="Invalid JSON"):
        read_report(str(tmp_path))
