"""One run of ``make chaos``, in which an actor, a driver and a writer are killed."""

from pathlib import Path

import pytest
import ray

from flows.stage import run_stage
from tests.support.chaos.runs import run_disturbed
from tests.support.chaos.stage import CALM, Parameters
from tests.support.stores import read_content

SEED, NUMBER = 3, 1


@pytest.mark.usefixtures("ray_local")
def test_killed_anywhere_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    calm = Parameters(root=str(tmp_path / "calm"))
    run_stage(CALM, calm, calm.root)
    address = ray.get_runtime_context().gcs_address
    outcome = run_disturbed(Parameters(root=str(tmp_path / "disturbed")), address, read_content(calm.url), SEED, NUMBER)
    assert outcome.wrong == []
    assert outcome.kills
