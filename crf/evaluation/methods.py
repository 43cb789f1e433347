"""The methods that an evaluation compares: the paper's, and controls that the paper lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from crf.sampling.paths import find_lead_end
from crf.schedule import TEACHER_STEPS, Schedule, place_tail

if TYPE_CHECKING:  # naming the methods takes no torch
    from crf.teacher.noise_schedule import NoiseSchedule

REFERENCE, CONVERGED = "full_50", "converged"
EVEN_DDIM = "ddim_from_"  # begins the key of the teacher's own sampler, evenly from where the teacher starts
WITHOUT_CRF = "without_crf"
FULL = Schedule(TEACHER_STEPS, TEACHER_STEPS)
CONVERGED_STEPS = 100
Kind = Literal["reference", "floor", "crf", "control", "sampler", "front"]


@dataclass(frozen=True)
class Method:
    """One method to compare.

    Args:
        key: Names its arrays in the store of samples, e.g. "crf_2".
        label: Names its row in the table; at most 30 characters.
        schedule: The evaluations that it runs.
        kind: What replaces the teacher's late steps: nothing ("reference"), the CRF ("crf"), something without a
            network ("control"), another sampler from the start ("sampler"), or a schedule that a search found
            ("front"). A "floor" is no method to choose, but tells how far apart equally good results are.
        in_table: Whether ``evaluate`` compares it (default), or only the ablation.
    """

    key: str
    label: str
    schedule: Schedule
    kind: Kind
    in_table: bool = True


def find_start(noise_schedule: NoiseSchedule) -> float:
    """Return the timestep at which the teacher's own 50 steps start."""
    return noise_schedule.check_timestep(noise_schedule.timesteps(TEACHER_STEPS)[0])


def make_converged(noise_schedule: NoiseSchedule) -> Schedule:
    """Make the schedule of the converged reference: so many steps of second order that more would change nothing."""
    return Schedule(CONVERGED_STEPS, lead_from=find_start(noise_schedule), solver="dpm++")


def list_methods(lead: str, noise_schedule: NoiseSchedule, tail: int | None = None) -> tuple[Method, ...]:
    """List the rows of the evaluation's table, in order. All but the reference and the floor cost about the same.

    If you change the rows, raise the version in the identity of ``evaluate``.

    Args:
        lead: The schedule before the CRF; "31/40" in the paper.
        noise_schedule: The teacher's noise schedule; it determines the timestep at which the lead ends.
        tail: Timestep of the first evaluation after the CRF, in the rows whose label has "@". None (default):
            half the timestep at which the lead ends.

    Returns:
        The methods, the reference first.

    Raises:
        ScheduleError: ``lead`` is not a lead alone, or it leaves no noise.
    """
    return tuple(method for method in list_every_method(lead, noise_schedule, tail) if method.in_table)


def list_inside_methods(schedule: Schedule, noise_schedule: NoiseSchedule) -> tuple[Method, ...]:
    """List the rows of the table for a CRF that corrects evaluations of a schedule. They take as many evaluations.

    Args:
        schedule: The schedule with the CRF inside.
        noise_schedule: The teacher's noise schedule.

    Returns:
        The methods, the reference first: the schedule, the same without a CRF, and samplers.
    """
    return (
        Method(REFERENCE, f"full {TEACHER_STEPS}", FULL, "reference"),
        Method(CONVERGED, "converged", make_converged(noise_schedule), "floor"),
        Method("crf_inside", f"{schedule.evaluations} with the CRF inside", schedule, "crf"),
        Method(WITHOUT_CRF, "the same without the CRF", replace(schedule, corrections=()), "control"),
        *(each for each in list_samplers(schedule.evaluations, find_start(noise_schedule)) if each.in_table),
    )


def list_every_method(lead: str, noise_schedule: NoiseSchedule, tail: int | None = None) -> Iterator[Method]:
    """Yield the table's rows and, between them, the methods that only the ablation compares."""
    first = Schedule.parse_lead(lead)
    ends = round(find_lead_end(noise_schedule, first))
    count, total = first.lead, first.lead + 2
    left = tuple(t for t in map(round, noise_schedule.timesteps(TEACHER_STEPS)) if t <= ends)
    last_2: dict[str, Any] = {"tail": 2, "tail_of": TEACHER_STEPS}
    placed = place_tail((ends + 1) // 2 if tail is None else tail)
    at_timesteps: dict[str, Any] = {"tail": len(placed), "tail_timesteps": placed}
    key, label = f"{len(placed)}_at_{'_'.join(map(str, placed))}", f"{len(placed)} @ {', '.join(map(str, placed))}"

    def add_crf(**following: Any) -> Schedule:
        return replace(first, middle="crf", **following)

    yield Method(REFERENCE, f"full {TEACHER_STEPS}", FULL, "reference")
    yield Method(CONVERGED, "converged", make_converged(noise_schedule), "floor")
    yield Method("crf_2", f"{count} + CRF + 2", add_crf(**last_2), "crf")
    yield Method(f"crf_{key}", f"{count} + CRF + {label}", add_crf(**at_timesteps, renoise="recomputed"), "crf")
    yield Method("crf_0", f"{count} + CRF + 0", add_crf(), "crf")
    for renoise in ("fresh", "consistent", "recomputed"):
        schedule = add_crf(**last_2, renoise=renoise)
        yield Method(f"crf_2_{renoise}", f"{count} + CRF + 2, {renoise}", schedule, "crf", in_table=False)
    yield Method("none_2", f"{count} + 0 + 2", replace(first, **last_2), "control")
    yield Method("none_0", f"{count} + 0 + 0", first, "control")
    yield from list_samplers(total, first.lead_from or find_start(noise_schedule))
    jump = place_tail(ends)
    jump_schedule = replace(first, tail=len(jump), tail_timesteps=jump)
    yield Method("jump_2", f"{count} + scheduled jump (2)", jump_schedule, "control")
    remaining = replace(first, tail=len(left), tail_timesteps=left)
    yield Method("remaining", f"{count} + all remaining steps", remaining, "control", in_table=False)
    x0_2 = replace(first, middle="x0", **at_timesteps, renoise="consistent")
    yield Method(f"x0_{key}", f"{count} + x0 + {label}", x0_2, "control")
    consistent = replace(first, middle="x0", **last_2, renoise="consistent")
    yield Method("x0_2_consistent", f"{count} + x0 + 2, consistent", consistent, "control", in_table=False)
    yield Method("x0", f"step {count}'s own x0", replace(first, middle="x0"), "control")


def list_samplers(total: int, start: float) -> Iterator[Method]:
    """Yield samplers of ``total`` evaluations: as diffusers spaces them, and from the teacher's first timestep on."""
    whole, even = Schedule(total, total), Schedule(total, lead_from=start)
    yield Method("ddim", f"{total}-step DDIM", whole, "sampler")
    yield Method(f"{EVEN_DDIM}{start:g}", f"{total}-step DDIM from {start:g}", even, "sampler")
    multistep = replace(whole, solver="dpm++")
    yield Method("dpm", f"{total}-step DPM-Solver++", multistep, "sampler", in_table=False)
    trailing = replace(multistep, spacing="trailing")
    yield Method("dpm_trailing", f"{total}-step DPM++, trailing", trailing, "sampler", in_table=False)
    stepped = replace(even, solver="dpm++", spacing="power 1")
    yield Method(f"dpm_from_{start:g}", f"{total}-step DPM++ from {start:g}", stepped, "sampler")
    for solver, label in (("dpm++3m", "DPM++ 3M"), ("unipc", "UniPC")):
        schedule = replace(stepped, solver=solver)  # type: ignore[arg-type]
        yield Method(f"{solver}_from_{start:g}", f"{total}-step {label} from {start:g}", schedule, "sampler", False)
    for spacing, label in (("power 1.15", "power 1.15"), ("karras", "Karras"), ("ays", "AYS")):
        schedule = replace(stepped, spacing=spacing)
        yield Method(f"dpm_{spacing.replace(' ', '_')}", f"{total}-step DPM++, {label}", schedule, "sampler", False)
    guided = replace(stepped, guided_to=400)
    yield Method("dpm_guided_to_400", f"{total}-step DPM++, guided to 400", guided, "sampler", False)
    for interval in (2, 3, 5):
        cached = replace(FULL, deepcache=interval)
        yield Method(f"deepcache_{interval}", f"DeepCache, every {interval} steps", cached, "control", False)
        extrapolated = replace(cached, extrapolated=True)
        label = f"DeepCache every {interval}, extrapol."
        yield Method(f"deepcache_{interval}_extrapolated", label, extrapolated, "control", False)
