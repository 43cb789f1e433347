"""A stage's run, watched from outside: how many rows a second, and with how much of the cores."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from flows.stage import Stage, find_work, run_stage
from tests.support.memory import peak_mib

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class Look:
    """A moment: seconds of the clock, shards committed, and CPU seconds that all processes of the run have used."""

    seconds: float
    shards: int
    cpu_seconds: float


@dataclass
class Watch:
    """Looks at a store that this process and its children fill."""

    commits: Path
    looks: list[Look] = field(default_factory=list)
    _used: dict[int, float] = field(default_factory=dict)  # by process id, of those that have ended, too

    def look(self) -> None:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                times = process.cpu_times()
                self._used[process.pid] = times.user + times.system
            except psutil.Error:
                continue
        shards = sum(name[0] == "0" for name in os.listdir(self.commits)) if self.commits.exists() else 0
        own = time.thread_time()  # looking costs, too
        self.looks.append(Look(time.monotonic(), shards, sum(self._used.values()) - own))

    def measure(self, after: int) -> Look:
        """Return what the run took from when ``after`` shards were committed until all were."""
        first = next(look for look in self.looks if look.shards >= after)
        last = next(look for look in self.looks if look.shards == self.looks[-1].shards)
        return Look(last.seconds - first.seconds, last.shards - first.shards, last.cpu_seconds - first.cpu_seconds)


@contextmanager
def watch(store: str) -> Iterator[Watch]:
    """Look at a store while the block runs."""
    watched, ended = Watch(Path(store) / "commits"), threading.Event()

    def look_until_ended() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            watched.look()

    thread = threading.Thread(target=look_until_ended)
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()


def measure_stage(stage: Stage[Any], params: Any, after: int) -> dict[str, float]:
    """Run a stage in this process, which should be a new one, and its Ray. What its start takes is not counted.

    Args:
        stage: The stage, whose output is a store.
        params: Its parameters, with a local root.
        after: Number of shards after whose commit it is measured.

    Returns:
        ``shards`` measured, their ``seconds`` and ``cpu_seconds``; ``all_seconds`` from the start to the seal;
        ``peak_mib``: the most memory of the driver.
    """
    begun = time.monotonic()
    with watch(find_work(stage, params, params.root).url) as watched:
        run_stage(stage, params, params.root)
        all_seconds = time.monotonic() - begun
    took = watched.measure(after)
    return {
        "shards": took.shards,
        "seconds": took.seconds,
        "cpu_seconds": took.cpu_seconds,
        "all_seconds": all_seconds,
        "peak_mib": peak_mib(),
        "load": os.getloadavg()[0],
    }
