"""Kill -9 at random moments, and drivers that race: ``python -m tests.chaos --runs 100 --races 5 --seed 0``.

Prints a line a run, with which ``--first NUMBER --runs 1`` and the same seed makes it again, and a summary
as JSON on the last line. Exit code 1 where a run left other bytes than an undisturbed one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import ray

from flows.ray_session import start_local_ray
from flows.stage import run_stage
from tests.support.chaos.runs import race, run_disturbed
from tests.support.chaos.stage import CALM, Parameters
from tests.support.stores import read_content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--races", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first run's number")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further run after that time")
    asked = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.pop("RAY_ADDRESS", None)
    context = start_local_ray(num_cpus=1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return report(asked, Path(folder), context.address_info["gcs_address"])
    finally:
        ray.shutdown()


def report(asked: argparse.Namespace, folder: Path, address: str) -> int:
    begun = time.monotonic()
    calm = Parameters(root=str(folder / "calm"))
    run_stage(CALM, calm, calm.root)
    expected = read_content(calm.url)
    outcomes = []
    for number in range(asked.first, asked.first + asked.runs):
        if time.monotonic() - begun > asked.seconds:
            break
        run = run_disturbed(Parameters(root=str(folder / f"run-{number}")), address, expected, asked.seed, number)
        outcomes.append(run)
        print(
            f"run {number}: killed {', '.join(run.kills) or 'nobody'}, {run.starts} starts, {run.seconds:.1f} s:",
            "; ".join(run.wrong) or "the same bytes",
            flush=True,
        )
    ray.shutdown()
    races = [race(Parameters(root=str(folder / f"race-{number}")), expected) for number in range(asked.races)]
    for number, wrong in enumerate(races):
        print(f"race {number}: {'; '.join(wrong) or 'the same bytes'}", flush=True)
    kills = [kill.partition(" ")[0] for run in outcomes for kill in run.kills]
    summary = {
        "seed": asked.seed,
        "runs": len(outcomes),
        "runs_with_kills": sum(bool(run.kills) for run in outcomes),
        "kills": {victim: kills.count(victim) for victim in ("driver", "actor", "writer")},
        "missed": sum(run.missed for run in outcomes),
        "drivers_ended_with_an_error": sum(run.errors for run in outcomes),
        "races": len(races),
        "wrong": [run.number for run in outcomes if run.wrong] + [f"race {i}" for i, w in enumerate(races) if w],
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary), flush=True)
    return bool(summary["wrong"])


if __name__ == "__main__":
    sys.exit(main())
