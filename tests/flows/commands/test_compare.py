import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.evaluations import PROTOCOL, make_evaluation

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def first(tmp_path: Path) -> str:
    return make_evaluation(tmp_path / "first", {"ddim": 1, "crf_2": 1, "old": 1})


def test_equal_evaluations_have_not_regressed(first: str, tmp_path: Path, latentcrf: Run) -> None:
    same = make_evaluation(tmp_path / "same", {"ddim": 1, "crf_2": 1, "new": 1})
    code, out, _ = latentcrf("compare", first, same, "--json")
    found = json.loads(out)
    assert code == 0
    assert [line["key"] for line in found["methods"]] == ["ddim", "crf_2"]
    assert {line["ratio"] for line in found["methods"]} == {1}
    assert (found["captions"], found["samples"], found["comparable"]) == (12, 14, True)


def test_a_worse_method_is_named_with_exit_code_1(first: str, tmp_path: Path, latentcrf: Run) -> None:
    worse = make_evaluation(tmp_path / "worse", {"ddim": 0.8, "crf_2": 1.1}, seed=1)
    code, out, _ = latentcrf("compare", first, worse)
    assert code == 1
    assert out.rstrip().endswith("Worse by more than 0.0%: crf_2.")
    better, changed = (next(line for line in out.splitlines() if line.startswith(key)) for key in ("ddim", "crf_2"))
    assert better.split()[-1] == "better"
    assert "12 of 12" in better
    assert changed.split()[-1] == "worse"
    assert latentcrf("compare", worse, first, "--method", "crf_2")[0] == 0


@pytest.mark.parametrize(("tolerance", "code"), [("0.05", 1), ("0.1", 0), ("0.2", 0)])
def test_the_whole_interval_lies_beyond_the_tolerance(
    first: str, tmp_path: Path, latentcrf: Run, tolerance: str, code: int
) -> None:
    """The ratio is 1.10, with an interval of about ± .01."""
    worse = make_evaluation(tmp_path / "worse", {"ddim": 1, "crf_2": 1.1}, seed=1)
    assert latentcrf("compare", first, worse, "--tolerance", tolerance)[0] == code


def test_other_protocols_and_teachers_are_rejected_by_name(first: str, tmp_path: Path, latentcrf: Run) -> None:
    protocol = {**PROTOCOL, "size": 64, "captions": {"hash": "cd34", "count": 10}}
    other = make_evaluation(tmp_path / "other", {"ddim": 2}, captions=10, protocol=protocol, unet="u2")
    code, out, err = latentcrf("compare", first, other)
    assert (code, out) == (2, "")
    fields = 'captions.count: 12, 10; captions.hash: "ab12", "cd34"; size: 32, 64; teacher.unet: "u1", "u2"'
    assert fields in err
    code, out, _ = latentcrf("compare", first, other, "--force")
    assert code == 1
    assert f"Not comparable: they differ in {fields}." in out
    assert "10 common captions (12 samples)" in out


def test_the_urls_may_be_those_of_the_reports(first: str, latentcrf: Run) -> None:
    assert latentcrf("compare", f"{first}/report.json", f"{first}/report.html")[0] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["compare", "{first}", "{tmp}/none"], "the output of evaluate (a folder with report.json), found none"),
        (["compare", "{first}", "{old}"], "a report of version 2, found None"),
        (["compare", "{first}", "{first}", "--method", "x"], "found x; choose among ddim, crf_2, old"),
        (["compare", "{first}", "{disjoint}"], "evaluate both with a common method"),
        (["compare", "{first}"], "SECOND"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    first: str, tmp_path: Path, latentcrf: Run, change: list[str], words: str
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/report.json").write_text("{}")
    disjoint = make_evaluation(tmp_path / "disjoint", {"other": 1})
    places = {"first": first, "tmp": tmp_path, "old": tmp_path / "old", "disjoint": disjoint}
    code, _, err = latentcrf(*(argument.format(**places) for argument in change))
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert words in err
