"""The schedules that a search tries for one number of evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from crf.errors import ScheduleError
from crf.sampling.paths import count_passes, list_timesteps
from crf.schedule import Schedule, Solver, place_tail
from crf.search.costs import Array
from crf.search.dynamic_programming import Paths, find_first_order_paths

if TYPE_CHECKING:
    from crf.teacher.noise_schedule import NoiseSchedule

POWERS: dict[Solver, tuple[float, ...]] = {
    "dpm++": (0.8, 0.9, 1, 1.1, 1.15, 1.2, 1.3),
    "dpm++3m": (1, 1.15),
    "unipc": (1, 1.15),
}
HANDOVERS = (0.4, 0.3, 0.2, 0.1)
"""Parts of the timesteps that are left when a lead hands over to the CRF or to x0."""
GUIDED_TO = (400, 200)
REUSE_INTERVALS, REUSED_BELOW = (2, 3), (None, 700)
CACHE_INTERVALS = (2, 3, 5)
STEPS = 50  # of a schedule with DeepCache


@dataclass(frozen=True)
class Candidate:
    """A schedule to try, and the family that it belongs to, which names its curve in a plot."""

    schedule: Schedule
    family: str


@dataclass(frozen=True)
class Space:
    """What the candidates of every number of evaluations are made from.

    Args:
        noise_schedule: The teacher's noise schedule.
        timesteps: Timesteps of the teacher's 50 evaluations.
        first_SS: First-order local errors, from ``compute_first_order``.
        paths: Best paths of "ddim" and of "dpm++", by number of evaluations.
        guided: Whether the teacher runs with guidance.
        shallow: Cost of an evaluation with cached deep features, as a share of a whole one; None if the teacher has
            no U-Net.
        crf_lead_to: Timestep at which the lead ended that the CRF was distilled on; None without such a CRF.
        crf_corrects: Whether there is a CRF that corrects evaluations anywhere: one that is told their timesteps.
    """

    noise_schedule: NoiseSchedule
    timesteps: list[float]
    first_SS: Array
    paths: dict[str, Paths]
    guided: bool
    shallow: float | None
    crf_lead_to: float | None
    crf_corrects: bool = False

    @property
    def start(self) -> float:
        """Timestep of the teacher's first evaluation."""
        return self.noise_schedule.check_timestep(self.timesteps[0])

    def is_runnable(self, schedule: Schedule) -> bool:
        """Return whether the schedule's timesteps fall, which they do not if there are too many."""
        try:
            return bool(list_timesteps(self.noise_schedule, schedule))
        except ScheduleError:
            return False

    def count_passes(self, schedule: Schedule) -> float:
        """Return the schedule's passes through the network."""
        return count_passes(self.noise_schedule, schedule, self.guided, self.shallow or 1)

    def count_evaluations(self, schedule: Schedule) -> float:
        """Return the schedule's cost in whole evaluations."""
        return self.count_passes(schedule) / (2 if self.guided else 1)


def list_candidates(space: Space, evaluations: int) -> list[Candidate]:
    """List the schedules to try that cost no more than ``evaluations`` guided evaluations, each once."""
    found: dict[Schedule, Candidate] = {}
    for each in (
        *list_paths(space, evaluations),
        *list_spaced(space, evaluations),
        *list_handovers(space, evaluations),
        *list_corrected(space, evaluations),
        *list_partly_guided(space, evaluations),
        *list_reused(space, evaluations),
        *list_cached(space, evaluations),
    ):
        if space.is_runnable(each.schedule) and space.count_evaluations(each.schedule) <= evaluations + 1e-6:
            found.setdefault(each.schedule, each)
    return list(found.values())


def list_paths(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield the paths that dynamic programming finds, each with the solvers that it may suit."""
    for name, solvers in (("ddim", ("ddim", "dpm++")), ("dpm++", ("dpm++", "unipc"))):
        if stops := space.paths[name].get(evaluations):
            timesteps = tuple(space.timesteps[stop] for stop in stops)
            for solver in solvers:
                schedule = Schedule(evaluations, lead_timesteps=timesteps, solver=solver)  # type: ignore[arg-type]
                yield Candidate(schedule, f"{solver}, dynamic programming")


def list_spaced(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield every solver on the families of timesteps."""
    whole = Schedule(evaluations, lead_from=space.start)
    yield Candidate(whole, "ddim, even")
    yield Candidate(replace(whole, solver="dpm++"), "dpm++, even")
    for solver, powers in POWERS.items():
        for power in powers:
            yield Candidate(replace(whole, solver=solver, spacing=f"power {power}"), f"{solver}, power")
    yield Candidate(replace(whole, solver="dpm++", spacing="karras"), "dpm++, karras")
    if space.noise_schedule.final < 0:  # the published timesteps are those of diffusion models
        yield Candidate(replace(whole, solver="dpm++", spacing="ays"), "dpm++, ays")


def list_handovers(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield leads by dynamic programming that hand over to x0 or the CRF, and the tails that may follow."""
    for timestep, middle in list_handover_places(space):
        stop = int(np.argmin(np.abs(np.array(space.timesteps) - timestep)))
        paths = find_first_order_paths(space.first_SS[: stop + 1, : stop + 1])
        end = round(space.timesteps[stop])
        for tail in ((), place_tail((end + 1) // 2)):
            count = evaluations - len(tail)
            if count not in paths or (tail and tail[0] >= end):
                continue
            lead = Schedule(count, lead_timesteps=tuple(space.timesteps[each] for each in paths[count]), lead_to=end)
            renoise = "direct" if not tail else "recomputed" if middle == "crf" else "consistent"
            following: dict[str, Any] = {
                "middle": middle,
                "tail": len(tail),
                "tail_timesteps": tail,
                "renoise": renoise,
            }
            schedule = replace(lead, **following)
            yield Candidate(schedule, middle)


def list_handover_places(space: Space) -> Iterator[tuple[float, str]]:
    """Yield the timesteps at which a lead hands over, and to what."""
    for part in HANDOVERS:
        yield part * space.start, "x0"
    if space.crf_lead_to is not None:
        yield space.crf_lead_to, "crf"


def list_corrected(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield good timesteps with the CRF behind every evaluation, the later half of them, and the last."""
    if not space.crf_corrects:
        return
    power = Schedule(evaluations, lead_from=space.start, solver="dpm++", spacing="power 1.15")
    for base in (*(each.schedule for each in list_paths(space, evaluations)), power):
        if base.solver in ("ddim", "dpm++") and space.is_runnable(base):
            timesteps = tuple(list_timesteps(space.noise_schedule, base))
            lead = Schedule(evaluations, lead_timesteps=timesteps, solver=base.solver)
            for first in sorted({1, evaluations // 2 + 1, evaluations}):
                corrected = replace(lead, corrections=tuple(range(first, evaluations + 1)))
                yield Candidate(corrected, f"{base.solver}, corrected")


def list_partly_guided(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield the longest schedules whose late evaluations run without guidance, for one pass each."""
    if not space.guided:
        return
    for guided_to in GUIDED_TO:
        for count in range(2 * evaluations, evaluations, -1):
            schedule = Schedule(count, lead_from=space.start, solver="dpm++", spacing="power 1", guided_to=guided_to)
            if space.is_runnable(schedule) and space.count_evaluations(schedule) <= evaluations:
                yield Candidate(schedule, "guided to a timestep")
                break


def list_reused(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield the longest schedules that compute guidance at every second or third evaluation, some only from 700 on."""
    if not space.guided:
        return
    for every, below in product(REUSE_INTERVALS, REUSED_BELOW):
        for count in range(2 * evaluations, evaluations, -1):
            schedule = Schedule(count, lead_from=space.start, solver="dpm++", spacing="power 1")
            schedule = replace(schedule, guidance_every=every, guidance_every_below=below)
            if space.is_runnable(schedule) and space.count_evaluations(schedule) <= evaluations:
                yield Candidate(schedule, "guidance reused")
                break


def list_cached(space: Space, evaluations: int) -> Iterator[Candidate]:
    """Yield the longest schedules with DeepCache at each interval, up to the teacher's 50 steps."""
    if space.shallow is None:
        return
    even = Schedule(STEPS, lead_from=space.start)
    for interval, base in product(CACHE_INTERVALS, (even, replace(even, solver="dpm++", spacing="power 1"))):
        for count in range(STEPS, evaluations, -1):
            schedule = replace(base, lead=count, deepcache=interval)
            if space.count_evaluations(schedule) <= evaluations:
                yield Candidate(schedule, f"{base.solver}, DeepCache")
                yield Candidate(replace(schedule, extrapolated=True), f"{base.solver}, DeepCache, extrapolated")
                break


def vary(space: Space, best: Schedule, count: int, seed: int) -> list[Candidate]:
    """Move the timesteps of a good schedule by small steps, smoothly: neighbours of the best are often better.

    Args:
        space: What the candidates are made from.
        best: The schedule; of a lead alone.
        count: Number of variations.
        seed: Determines the variations.

    Returns:
        Candidates of the same solver at other timesteps, with the same first one.
    """
    random = np.random.default_rng(seed)
    timesteps = np.array(list_timesteps(space.noise_schedule, best), float)
    gaps = -np.diff([*timesteps, space.noise_schedule.final])
    found = []
    for _ in range(count):
        moved = timesteps + gaps * random.normal(0, 0.15, len(timesteps))
        moved[0] = timesteps[0]
        rounded = tuple(space.noise_schedule.round_timestep(float(timestep)) for timestep in moved)
        if all(a > b for a, b in zip(rounded, (*rounded[1:], space.noise_schedule.final), strict=True)):
            schedule = Schedule(len(rounded), lead_timesteps=rounded, solver=best.solver, corrections=best.corrections)
            found.append(Candidate(schedule, f"{best.solver}, {'corrected' if best.corrections else 'varied'}"))
    return found
