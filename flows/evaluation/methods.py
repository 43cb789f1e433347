"""Which methods an evaluation compares."""

from collections.abc import Sequence

from crf.errors import ScheduleError
from crf.evaluation.methods import EVEN_DDIM, WITHOUT_CRF, Kind, Method, list_inside_methods, list_methods
from crf.front import Front
from crf.schedule import PAPERS_LEAD, Schedule
from flows.parameters.evaluation import EvaluateParameters
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.training.crf_files import choose_lead, read_config
from storage import locations
from storage.errors import UserError
from storage.identity import digest

FRONT = "schedule.json"


def choose_methods(params: EvaluateParameters) -> tuple[Method, ...]:
    """List the methods to compare: the table's, the given schedules, and the front of a search.

    Raises ScheduleError for a schedule that cannot be run.
    """
    methods = list(choose_own_methods(params))
    if front := load_front(params.front):
        add_methods(methods, "front", [point.schedule for point in front.points], params)
    return tuple(methods)


def choose_own_methods(params: EvaluateParameters) -> tuple[Method, ...]:
    """List the methods that do not depend on a search, which a plan knows before the search has run."""
    from crf.teacher.noise_schedule import read_noise_schedule

    noise_schedule = read_noise_schedule(read_shape(params.teacher).scheduler_config)
    if own := find_own_schedule(params):
        methods = list(list_inside_methods(Schedule.parse(own), noise_schedule))
    else:
        lead, tail = find_place(params)
        table = list_methods(lead, noise_schedule, tail)
        methods = [method for method in table if params.crf is not None or method.kind != "crf"]
    add_methods(methods, "sampler", params.schedules, params)
    return tuple(methods)


def add_methods(methods: list[Method], kind: Kind, texts: Sequence[str], params: EvaluateParameters) -> None:
    """Add schedules that are not among the methods yet."""
    known = {method.schedule for method in methods}
    methods += [
        make_method(schedule, kind, params)
        for schedule in dict.fromkeys(map(Schedule.parse, texts))
        if schedule not in known
    ]


def make_method(schedule: Schedule, kind: Kind, params: EvaluateParameters) -> Method:
    """Make the method of a schedule that is not in the table. Its key depends on the schedule alone."""
    if schedule.crfs and not params.crf:
        raise ScheduleError(f"a CRF for the schedule '{schedule}'", "none", "give --crf")
    text = str(schedule)
    label = f"found: {schedule.evaluations} evaluations" if kind == "front" else text[:30]
    return Method(f"schedule_{digest(text)[:8]}", label, schedule, kind)


def load_front(front: str | None) -> Front | None:
    """Load a front: from the output of ``search``, or from a schedule.json. None if there is none."""
    if front is None:
        return None
    place = front if is_file(front) else locations.join(front, FRONT)
    if not locations.exists(place):
        raise UserError(f"the output of search (a folder with {FRONT})", f"none at {front}", "check --front")
    return Front.parse(locations.read_bytes(place).decode())


def check_front(front: Front, teacher: str, root: str) -> None:
    """Raise UserError if the front was searched for another teacher."""
    parts = fingerprint_parts(teacher, root)
    if changed := sorted(name for name in front.teacher if front.teacher[name] != parts.get(name)):
        raise UserError("a front of this teacher", f"one of another {', '.join(changed)}", "run latentcrf search")


def fingerprint_front(front: str) -> str:
    """Return what identifies a front: the fingerprint of its search, or a hash of the schedule.json."""
    return digest(locations.read_bytes(front).decode()) if is_file(front) else locations.get_name(front)


def is_file(front: str) -> bool:
    """Return whether a front is given as a schedule.json rather than as the output of a search."""
    return front.endswith(".json")


def find_baseline(params: EvaluateParameters, methods: tuple[Method, ...]) -> str:
    """Return the key of the method that all others are compared with.

    By default it is the schedule of a CRF inside without its CRF, or else the teacher's own sampler, evenly spaced from
    where the teacher starts. Raises UserError if the given one is not compared.
    """
    keys = [method.key for method in methods]
    if params.baseline is None and WITHOUT_CRF in keys:
        return WITHOUT_CRF
    if params.baseline is None:
        return next(key for key in keys if key.startswith(EVEN_DDIM))
    if params.baseline not in keys:
        raise UserError("the key of a method that is compared", params.baseline, f"choose among {', '.join(keys)}")
    return params.baseline


def find_own_schedule(params: EvaluateParameters) -> str | None:
    """Return the schedule in which the CRF corrects evaluations: the given one or, by default, the CRF's own.

    None if it has none. A pipeline gives it, because it plans before the CRF exists.
    """
    if params.schedule and params.crf is None:
        raise ScheduleError(f"a CRF for the schedule '{params.schedule}'", "none", "give --crf")
    if params.schedule:
        return params.schedule
    if params.crf is None or not locations.exists(locations.join(params.crf, "config.json")):
        return None
    schedule: str | None = read_config(params.crf).get("schedule")
    return schedule


def find_place(params: EvaluateParameters) -> tuple[str, int | None]:
    """Return the lead and the tail's first timestep to compare on: the given ones or, by default, the CRF's own.

    A pipeline always gives them, because it plans before the CRF exists. Raises UserError if the given lead is
    not the CRF's own.
    """
    if params.crf is None:
        return str(Schedule.parse_lead(params.lead or PAPERS_LEAD)), params.tail
    if params.lead and not locations.exists(locations.join(params.crf, "config.json")):
        return str(Schedule.parse_lead(params.lead)), params.tail
    config = read_config(params.crf)
    lead = choose_lead(config, params.lead, params.ignore_mismatched_lead)
    return lead, params.tail or config.get("tail")
