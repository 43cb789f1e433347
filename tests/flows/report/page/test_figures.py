"""Numbers for a reader: significant digits, true minus signs, intervals at the same precision."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.page.figures import Cell, format_number, make_cell


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (34.0, "34"),
        (31.5, "31.5"),
        (0.259123, "0.259"),
        (1.8734, "1.87"),
        (-12.345, "−12.3"),
        (294.94, "295"),
        (12345.6, "12,346"),
        (0.00002, "0.000020"),
    ],
)
def test_a_number_has_three_digits(number: float, text: str) -> None:
    assert format_number(number) == text


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_what_is_shown_is_within_half_a_percent(number: float) -> None:
    assert math.isclose(float(format_number(number).replace(",", "")), number, rel_tol=0.0051)


def test_an_interval_has_its_figures_decimals() -> None:
    row = {"latent_mse": {"mean": 0.00187, "low": -0.000123, "high": 0.01234, "p95": 0.004}}
    assert make_cell(row, "latent_mse", "mean", 1e3) == Cell("1.87", "−0.12 to 12.34")
    assert make_cell(row, "latent_mse.p95", "", 1e3) == Cell("4")
    assert str(make_cell(row, "latent_mse", "mean", 1e3)) == "1.87 (−0.12 to 12.34)"


def test_what_the_report_lacks_is_empty() -> None:
    row = {"psnr": None, "vendi": {"mean": None, "low": None, "high": None}, "kid": {"mean": 1.5, "low": None}}
    assert make_cell(row, "psnr", "mean") == make_cell(row, "vendi", "mean") == Cell("")
    assert make_cell(row, "kid", "mean") == Cell("1.50")
