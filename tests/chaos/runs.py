"""One run: a driver on a Ray of its own or others', killed at random moments and started again until it ends."""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from storage.verification import verify
from tests.chaos.stage import CHAOS, Parameters, drive

VICTIMS = ("driver", "actor", "writer")
TITLES = {"actor": "MapWorker", "writer": "WriteShard"}
STARTS = 8  # a driver that ends with an error is started again, but not for ever

# Drivers are forked from a process that has imported all they need, and has neither threads nor a Ray.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.chaos.stage", "ray.data"])
Driver = multiprocessing.process.BaseProcess


@dataclass
class Outcome:
    """What happened to one run, and what is wrong with what it left behind: nothing, if all is well."""

    number: int
    kills: list[str] = field(default_factory=list)
    missed: int = 0
    starts: int = 0
    errors: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def content(url: str) -> dict[str, str]:
    """Every object of a store, but for the commit records' timings -> its hash."""
    hashes = {}
    for file in sorted(Path(url).rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            if file.parent.name == "commits" and file.name[:5].isdigit():
                record = json.loads(data)
                del record["timing"], record["digest"]  # the record's own checksum covers its timing
                data = json.dumps(record, sort_keys=True).encode()
            hashes[str(file.relative_to(url))] = hashlib.sha256(data).hexdigest()
    return hashes


def url_of(params: Parameters) -> str:
    return CHAOS.identify(params)[0].url(params.root)


def start(params: Parameters) -> Driver:
    driver = processes.Process(target=drive, args=(params,))
    driver.start()
    return driver


def disturbed_run(params: Parameters, expected: dict[str, str], span: float, seed: int, number: int) -> Outcome:
    """1 to 3 kills, each after a random part of ``span`` (s) and of a random victim; all follow from the seed."""
    chance, outcome, begun = random.Random(f"{seed}/{number}"), Outcome(number), time.monotonic()
    committed: dict[str, bytes] = {}
    driver = start(params)
    outcome.starts = 1
    for _ in range(chance.randint(1, 3)):
        victim, delay = chance.choice(VICTIMS), chance.uniform(0, span)
        if strike(driver, victim, delay):
            outcome.kills.append(f"{victim}@{delay:.2f}")
        else:
            outcome.missed += 1
        committed = {**commits(params), **committed}
        if victim == "driver" and not driver.is_alive():
            driver = restart(driver, params, outcome)
    while (code := ended(driver)) != 0 and outcome.starts < STARTS:
        outcome.errors += code != -signal.SIGKILL
        committed = {**commits(params), **committed}
        driver = restart(driver, params, outcome)
    outcome.wrong = faults(params, expected, committed)
    if code:
        outcome.wrong.append(f"the last driver ended with {code}")
    outcome.seconds = time.monotonic() - begun
    return outcome


def race(params: Parameters, expected: dict[str, str], drivers: int = 2) -> list[str]:
    """Some drivers of the same output, begun at the same time. -> what is wrong."""
    running = [start(params) for _ in range(drivers)]
    codes = [ended(driver) for driver in running]
    return faults(params, expected, {}) + [f"a driver ended with {code}" for code in codes if code]


def strike(driver: Driver, victim: str, delay: float) -> bool:
    """Kill -9 after ``delay``, a worker as soon after that as there is one. False: the driver had ended before."""
    driver.join(delay)
    while driver.is_alive():
        pid = driver.pid if victim == "driver" else find_worker(TITLES[victim])
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            if victim == "driver":
                driver.join()
            return True
        time.sleep(0.001)
    return False


def find_worker(title: str) -> int | None:
    """The process of one of this Ray's workers, by what it does at the moment."""
    for process in psutil.Process().children(recursive=True):
        try:
            if title in (process.cmdline() or [""])[0]:
                return int(process.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None


def restart(driver: Driver, params: Parameters, outcome: Outcome) -> Driver:
    driver.join()
    outcome.starts += 1
    return start(params)


def ended(driver: Driver) -> int:
    driver.join(120)
    if driver.is_alive():
        driver.kill()
        driver.join()
        return 124
    return int(driver.exitcode or 0)


def commits(params: Parameters) -> dict[str, bytes]:
    """The records of the shards that are committed."""
    return {file.name: file.read_bytes() for file in Path(url_of(params), "commits").glob("0*.json")}


def faults(params: Parameters, expected: dict[str, str], committed: dict[str, bytes]) -> list[str]:
    """What differs from an undisturbed run; ``committed``: the records that were there after the kills."""
    found, records = content(url_of(params)), commits(params)
    wrong = [f"{path} differs" for path in sorted(found.keys() | expected) if found.get(path) != expected.get(path)]
    wrong += [f"{name} was committed again" for name, data in committed.items() if records.get(name) != data]
    return wrong + [f"{problem.path}: {problem.problem}" for problem in verify(url_of(params))]
