"""Which methods an evaluation compares."""

from collections.abc import Sequence

from crf.errors import ScheduleError
from crf.evaluation.methods import Kind, Method, list_methods
from crf.front import Front
from crf.schedule import PAPERS_LEAD, Schedule
from crf.teacher.folder import TeacherShape
from flows.crf_files import choose_lead, read_config
from flows.parameters import EvaluateParameters
from storage import locations
from storage.errors import UserError
from storage.identity import digest

FRONT = "schedule.json"


def choose_methods(params: EvaluateParameters) -> tuple[Method, ...]:
    """List the methods to compare: the table's, the front of a search, and the given schedules.

    Raises ScheduleError for a schedule that cannot be run.
    """
    from crf.teacher.noise_schedule import read_noise_schedule

    lead, tail = find_place(params)
    noise_schedule = read_noise_schedule(TeacherShape.read(params.teacher).scheduler_config)
    methods = [method for method in list_methods(lead, noise_schedule, tail) if params.crf or method.kind != "crf"]
    known = {method.schedule for method in methods}
    added: dict[Kind, Sequence[str]] = {"front": read_front(params.front), "sampler": params.schedules}
    for kind, texts in added.items():
        for schedule in map(Schedule.parse, texts):
            if schedule not in known:
                methods.append(make_method(schedule, kind, params))
                known.add(schedule)
    return tuple(methods)


def make_method(schedule: Schedule, kind: Kind, params: EvaluateParameters) -> Method:
    """Make the method of a schedule that is not in the table. Its key depends on the schedule alone."""
    if schedule.middle == "crf" and not params.crf:
        raise ScheduleError(f"a CRF for the schedule '{schedule}'", "none", "give --crf")
    text = str(schedule)
    return Method(f"schedule_{digest(text)[:8]}", text[:30], schedule, kind)


def read_front(url: str | None) -> list[str]:
    """Read the schedules on the front that ``search`` found, from its output at ``url``; empty without one."""
    if url is None:
        return []
    place = locations.join(url, FRONT)
    if not locations.exists(place):
        raise UserError(f"the output of search (a folder with {FRONT})", f"none at {url}", "check --front")
    return [point.schedule for point in Front.parse(locations.read_bytes(place).decode()).points]


def find_baseline(params: EvaluateParameters, methods: tuple[Method, ...]) -> str:
    """Return the key of the method that all others are compared with: the given one or, by default, plain DDIM.

    Among the table's samplers of the teacher's kind, the default is the last: the one that starts where the teacher
    starts, if there is one. Raises UserError if the given one is not compared.
    """
    keys = [method.key for method in methods]
    if params.baseline is None:
        plain = [m.key for m in methods if m.kind == "sampler" and m.schedule.solver == "ddim"]
        return plain[-1]
    if params.baseline not in keys:
        raise UserError("the key of a method that is compared", params.baseline, f"choose among {', '.join(keys)}")
    return params.baseline


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
