"""Run jobs in processes of their own, and keep each result as soon as it is there."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def run_jobs(run: Callable[..., Any], jobs: dict[str, tuple[Any, ...]], log_file: Path, workers: int) -> dict[str, Any]:
    """Run the jobs that the log does not hold yet.

    Args:
        run: The function to run; pickled by name.
        jobs: Its arguments, by the key of the job.
        log_file: JSON lines, one per finished job. Killed? The same call goes on from here.
        workers: Number of processes.

    Returns:
        The result of each job by its key.
    """
    lines = log_file.read_text().splitlines() if log_file.exists() else []
    done = {one["key"]: one["result"] for one in map(json.loads, lines)}
    left = [key for key in jobs if key not in done]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool, log_file.open("a") as log:
        futures = {pool.submit(run, *jobs[key]): key for key in left}
        for number, future in enumerate(as_completed(futures), len(jobs) - len(left) + 1):
            done[futures[future]] = future.result()
            log.write(json.dumps({"key": futures[future], "result": future.result()}) + "\n")
            log.flush()
            print(f"{number} of {len(jobs)}: {futures[future]}", flush=True)
    return {key: done[key] for key in jobs}
