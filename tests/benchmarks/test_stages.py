"""What is counted of a watched run. ``python -m tests.benchmarks.stages --tiny`` tries the whole script."""

from pathlib import Path

from tests.benchmarks.stage_runs import Look, Watch


def test_from_a_commit_to_the_last() -> None:
    looks = [Look(0, 0, 0), Look(10, 2, 15), Look(20, 3, 30), Look(30, 6, 50), Look(40, 6, 55)]
    assert Watch(Path(), looks).measure(after=2) == Look(seconds=20, shards=4, cpu_seconds=35)
