"""One chaos run: kill a driver or its workers at random moments, start again, and compare what is left."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from storage.store.verification import verify
from tests.support.chaos.stage import Parameters, drive
from tests.support.stores import read_content

VICTIMS = ("driver", "actor", "writer")
TITLES = {"actor": "MapWorker", "writer": "WriteShard"}
HANGS = 900  # seconds after which a driver is taken for one that hangs
STARTS = 8  # how often a driver that ends with an error is started again

# Drivers are forked from a process that has imported all they need, and has neither threads nor a Ray.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.chaos.stage", "ray.data"])
Driver = multiprocessing.process.BaseProcess


@dataclass
class Outcome:
    """What happened in one run, and what is wrong with its output; ``wrong`` is empty if all is well."""

    number: int
    kills: list[str] = field(default_factory=list)
    missed: int = 0
    starts: int = 0
    errors: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def start(params: Parameters, address: str | None) -> Driver:
    driver = processes.Process(target=drive, args=(params, address))
    driver.start()
    return driver


def run_disturbed(params: Parameters, address: str, expected: dict[str, bytes], seed: int, number: int) -> Outcome:
    """Run the stage with 1 to 3 kills; the seed and the run's number decide the victims and the moments."""
    chance, outcome, begun = random.Random(f"{seed}/{number}"), Outcome(number), time.monotonic()
    committed: dict[str, bytes] = {}
    driver = start(params, address)
    outcome.starts = 1
    for _ in range(chance.randint(1, 3)):
        victim, part, pause = chance.choice(VICTIMS), chance.random(), chance.random()
        after = len(read_commits(params)) + int(part * (params.shards - len(read_commits(params))))
        # Before the first commit the driver starts up for seconds; after it a shard takes a tenth of one.
        if strike(driver, victim, params, after, pause * (0.3 if after else 8.0)):
            outcome.kills.append(f"{victim} after {after}")
        else:
            outcome.missed += 1
            break
        committed = {**read_commits(params), **committed}
        if victim == "driver":
            driver = restart(driver, params, address, outcome)
    while (code := wait_for_exit(driver)) != 0 and outcome.starts < STARTS:
        outcome.errors += 1
        committed = {**read_commits(params), **committed}
        driver = restart(driver, params, address, outcome)
    outcome.wrong = find_differences(params, expected, committed)
    if code:
        outcome.wrong.append(f"the last driver ended with {code}")
    outcome.seconds = time.monotonic() - begun
    return outcome


def race(params: Parameters, expected: dict[str, bytes], drivers: int = 2) -> list[str]:
    """Start several drivers of the same output at once, each with its own Ray; return what is wrong."""
    running = [start(params, None) for _ in range(drivers)]
    codes = [wait_for_exit(driver) for driver in running]
    return find_differences(params, expected, {}) + [f"a driver ended with {code}" for code in codes if code]


def strike(driver: Driver, victim: str, params: Parameters, after: int, pause: float) -> bool:
    """Kill the victim with -9 once ``after`` shards are committed and ``pause`` seconds have passed.

    A worker is killed as soon as there is one. Return False if the driver ended before.
    """
    while driver.is_alive() and len(read_commits(params)) < after:
        time.sleep(0.002)
    driver.join(pause)
    while driver.is_alive():
        pid = driver.pid if victim == "driver" else find_worker(TITLES[victim])
        try:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                driver.join(None if victim == "driver" else 0)
                return True
        except ProcessLookupError:
            continue
        time.sleep(0.001)
    return False


def find_worker(title: str) -> int | None:
    """Find a worker of this Ray by the title of its process, which says what it does at the moment."""
    for process in psutil.Process().children(recursive=True):
        try:
            if title in (process.cmdline() or [""])[0]:
                return int(process.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None


def restart(driver: Driver, params: Parameters, address: str, outcome: Outcome) -> Driver:
    driver.join()
    outcome.starts += 1
    return start(params, address)


def wait_for_exit(driver: Driver) -> int:
    driver.join(HANGS)
    if driver.is_alive():
        driver.kill()
        driver.join()
        return 124
    return int(driver.exitcode or 0)


def read_commits(params: Parameters) -> dict[str, bytes]:
    """Read the commit records."""
    return {file.name: file.read_bytes() for file in Path(params.url, "commits").glob("0*.json")}


def find_differences(params: Parameters, expected: dict[str, bytes], committed: dict[str, bytes]) -> list[str]:
    """List what differs from an undisturbed run, and which of the ``committed`` records were written again."""
    found, records = read_content(params.url), read_commits(params)
    wrong = [f"{path} differs" for path in sorted(found.keys() | expected) if found.get(path) != expected.get(path)]
    wrong += [f"{name} was committed again" for name, data in committed.items() if records.get(name) != data]
    return wrong + [f"{problem.path}: {problem.problem}" for problem in verify(params.url)]
