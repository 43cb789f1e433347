import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.errors import find_user_error
from flows.parameters.running import Resources
from flows.progress import Progress
from flows.shards.blocks import SeedRows
from flows.shards.job import fill_store
from flows.shards.model import ModelSpec
from flows.stage import find_work, run_stage
from tests.support.chaos.stage import CHAOS, RUN_SEED, Parameters, create


@pytest.mark.usefixtures("ray_local")
def test_what_fails_on_a_worker_is_one_line_to_the_user(tmp_path: Path) -> None:
    params = Parameters(root=str(tmp_path), shards=2, seconds=0)
    in_the_way = Path(params.url, "seed/c")
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the shards belong")
    with pytest.raises(Exception, match="FileExistsError") as caught:
        run_stage(CHAOS, params, params.root)
    told = find_user_error(caught.value)
    assert told
    # Either shard may be the first to fail.
    expected = rf"expected an answer from {re.escape(params.url)}/seed/c/[01], found FileExistsError"
    assert re.match(expected, told)
    assert "\n" not in told


@pytest.mark.usefixtures("ray_local")
def test_rows_are_counted_while_their_shard_is_computed(tmp_path: Path) -> None:
    params = Parameters(root=str(tmp_path), shards=1)
    work = find_work(CHAOS, params, params.root)
    gate = tmp_path / "gate"
    model = ModelSpec("tests.support.chaos.compute:Gated", {"gate": str(gate)})

    with Progress("chaos") as progress:

        def open_gate() -> None:
            while progress.done != 3:  # the test hangs if these rows do not come
                time.sleep(0.05)
            gate.touch()

        with ThreadPoolExecutor(1) as thread:
            opened = thread.submit(open_gate)
            fill_store(create(params, work), work.shards, SeedRows(RUN_SEED), model, Resources(), progress)
            opened.result()
        assert (progress.done, progress.total) == (7, 7)


# Ray hands out a GPU that it is told of; the stage's actor does not use it. Its first shard takes long.
SLOW_ON_A_GPU = """
import sys
import ray.data
from flows.ray_session import start_local_ray
from flows.stage import run_stage
from tests.support.chaos.stage import CHAOS, Parameters

start_local_ray(num_cpus=2, num_gpus=1)
ray.data.DataContext.get_current().execution_no_progress_timeout_s = 1  # half an hour, by default
print(run_stage(CHAOS, Parameters(root=sys.argv[1], shards=2, seconds=8), sys.argv[1]).state)
"""


def test_a_job_on_gpus_may_be_slow(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", SLOW_ON_A_GPU, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "computed\n", done.stderr
