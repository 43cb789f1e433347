from pathlib import Path

import pytest

from crf.evaluation.costs import measure_costs
from crf.evaluation.methods import Method
from crf.schedule import Schedule
from tests.support.teachers import TINY, save_pipeline

METHODS = (
    Method("whole", "whole", Schedule.parse("20/20"), "reference"),
    Method("converged", "converged", Schedule.parse("40@981.."), "floor"),
    Method("few", "few", Schedule.parse("4/4"), "sampler"),
)
CACHED = Method("cached", "cached", Schedule.parse("4/4 (deepcache 2)"), "sampler")


@pytest.mark.parametrize("family", ["sd", "sd3"])
def test_costs_are_those_of_the_passes_and_of_decoding(family: str, tmp_path: Path) -> None:
    folder = save_pipeline(TINY[family](), tmp_path)
    costs, environment = measure_costs(str(folder), None, "cpu", "a cat", 7.5, 32, METHODS)
    assert [costs[method.key].passes for method in METHODS] == [40, 80, 8]
    per_pass = (costs["whole"].flops - costs["few"].flops) / (40 - 8)
    assert costs["converged"].flops - costs["whole"].flops == pytest.approx(40 * per_pass)
    assert 0 < 8 * per_pass < costs["few"].flops, "decoding is part of it"
    seconds = costs["few"].seconds
    assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
    assert costs["few"].peak_bytes is None
    assert environment["dtype"] == "float32"


def test_reused_features_save_passes_and_flops(tiny_teacher: Path) -> None:
    costs, _ = measure_costs(str(tiny_teacher), None, "cpu", "a cat", 1.0, 32, (*METHODS, CACHED))
    few, cached = costs["few"], costs["cached"]
    assert few.passes == 4
    assert 2 < cached.passes < 4
    per_pass = (costs["whole"].flops - few.flops) / 16
    assert few.flops - cached.flops == pytest.approx((4 - cached.passes) * per_pass, abs=1)
