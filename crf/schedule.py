"""A schedule: which evaluations of the teacher run, and where the CRF stands among them.

"50/50"                     all 50 steps of a 50-step schedule
"31/40 + crf + 2/50"        the first 31 of 40 steps, the CRF, the last 2 of 50 steps (the paper's)
"31/40 + 2/50"              the first 31 of 40 steps, the last 2 of 50 steps, no CRF
"31/40 + 2@201,21"          the last evaluations at timesteps 201 and 21
"31@981..201 + crf + 2/50"  31 evaluations spaced evenly from timestep 981, the CRF at timestep 201
"33@981.."                  33 evaluations spaced evenly from timestep 981 to the end
"31/40 + x0"                the first 31 of 40 steps, then the last evaluation's x0 prediction as the result

Brackets at the end name the renoising and the solver if they are not the paper's, and the timestep spacing if it is
not that of the teacher's own scheduler:
"31/40 + crf + 2/50 (consistent)", "33/33 (dpm++)", "50/50 (trailing)".
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

from crf.errors import ScheduleError

# The trajectories that the CRF is distilled from (section 3.5): state 40 of 50 -> state 50.
TEACHER_STEPS, TEACHER_SPLIT = 50, 40
PAPERS_LEAD = "31/40"
PAPER = f"{PAPERS_LEAD} + crf + 2/50"
LAST_TIMESTEP = 21
"""Timestep of the last evaluation in a tail that ``place_tail`` makes."""
Renoise = Literal["direct", "consistent", "recomputed", "fresh"]
Solver = Literal["ddim", "dpm++"]
Spacing = Literal["", "leading", "trailing"]
LEAD = re.compile(r"(\d+)/(\d+)|(\d+)@(\d+)\.\.(\d*)")
TAIL = re.compile(r"(\d+)/(\d+)|(\d+)@(\d+(?:,\d+)*)")
# What may stand in brackets, and the field that it sets.
NAMED = {
    **dict.fromkeys(("consistent", "recomputed", "fresh"), "renoise"),
    "dpm++": "solver",
    **dict.fromkeys(("leading", "trailing"), "spacing"),
}
BRACKETS = re.compile(rf"\(({'|'.join(map(re.escape, NAMED))})\)\s*$")


@dataclass(frozen=True)
class Schedule:
    """The order in which the teacher's evaluations and the CRF run: a lead, a middle and a tail.

    ``Schedule.parse`` reads one from text. The constructor checks that the schedule can be run.

    Args:
        lead: Number of evaluations before the CRF.
        lead_of: Steps in the full schedule that the lead is the first part of; 0 (default) if ``lead_from`` is given.
        lead_from: Timestep at which an evenly spaced lead starts; 0 (default) if ``lead_of`` is given. With it, a
            lead of fewer steps can start at as much noise as the teacher's own schedule.
        lead_to: Timestep at which an evenly spaced lead ends. None (default): no noise is left.
        middle: What follows the lead: "crf", "x0" (the last evaluation's x0 prediction) or "" (default, nothing).
        tail: Number of evaluations after the middle. Default 0.
        tail_of: Steps in the full schedule that the tail is the last part of; 0 (default) without a tail or with
            ``tail_timesteps``.
        tail_timesteps: Timesteps of the tail's evaluations, descending, in place of ``tail_of``. Default ().
        renoise: How the middle's clean latents become the tail's first state: unchanged ("direct", default, as in
            the paper), with the eps of the lead's last evaluation ("consistent"), with the eps that relates them to
            the lead's last state ("recomputed"), or with new noise ("fresh").
        solver: Sampler of the lead: "ddim" (default; Euler for flow matching) or "dpm++", second-order DPM-Solver++
            (arXiv 2211.01095).
        spacing: Timestep spacing of lead and tail: "leading" or "trailing" (arXiv 2305.08891, table 2), or ""
            (default) for the teacher's own.

    Raises:
        ScheduleError: The schedule cannot be run.

    Example:
        >>> schedule = Schedule.parse("31/40 + crf + 2/50")
        >>> schedule.evaluations
        33
    """

    lead: int
    lead_of: int = 0
    lead_from: int = 0
    lead_to: int | None = None
    middle: Literal["", "crf", "x0"] = ""
    tail: int = 0
    tail_of: int = 0
    tail_timesteps: tuple[int, ...] = ()
    renoise: Renoise = "direct"
    solver: Solver = "ddim"
    spacing: Spacing = ""

    @classmethod
    def parse(cls, text: str, renoise: Renoise = "direct") -> Self:
        """Parse a schedule in the notation of ``str(schedule)``, e.g. "31/40 + crf + 2/50 (recomputed)".

        Args:
            text: A lead, optionally "crf" or "x0", and optionally a tail, joined by "+". Renoising, solver and
                spacing follow in brackets.
            renoise: The renoising if no bracket names one. Default "direct".

        Returns:
            The schedule. ``Schedule.parse(str(schedule))`` equals it.

        Raises:
            ScheduleError: The text is not a schedule, or the schedule cannot be run.
        """
        rest, named = text, {"renoise": renoise}
        while bracket := BRACKETS.search(rest):
            rest = rest[: bracket.start()]
            named[NAMED[bracket[1]]] = bracket[1]  # type: ignore[assignment]
        first, *others = (part.strip() for part in rest.split("+"))
        lead = LEAD.fullmatch(first)
        middle = others.pop(0) if others and others[0] in ("crf", "x0") else ""
        tail = TAIL.fullmatch(others[0]) if len(others) == 1 else None
        if lead is None or len(others) > 1 or (others and tail is None):
            raise ScheduleError("a schedule", repr(text), "write one like '31/40 + crf + 2/50' or '50/50'")
        steps, of, count, timesteps = tail.groups() if tail else (None, None, None, None)
        return cls(
            lead=int(lead[1] or lead[3]),
            lead_of=int(lead[2] or 0),
            lead_from=int(lead[4] or 0),
            lead_to=int(lead[5]) if lead[5] else None,
            middle=middle,  # type: ignore[arg-type]
            tail=int(steps or count or 0),
            tail_of=int(of or 0),
            tail_timesteps=tuple(map(int, timesteps.split(","))) if timesteps else (),
            **named,  # type: ignore[arg-type]
        )

    @classmethod
    def parse_lead(cls, text: str) -> Self:
        """Parse a lead alone, e.g. "31/40" or "31@981..201".

        Args:
            text: The lead. A solver and a spacing may follow in brackets.

        Returns:
            A schedule without middle and tail.

        Raises:
            ScheduleError: The text is not a schedule, or it has a middle or a tail.
        """
        schedule = cls.parse(text)
        if schedule.middle or schedule.tail:
            raise ScheduleError("a lead alone", repr(text), "leave out what follows it, as in '31/40'")
        return schedule

    def __post_init__(self) -> None:
        if self.lead_of and not 1 <= self.lead <= self.lead_of <= 1000:
            self._reject("a lead of at least 1 step, in a schedule of at most 1000", "change the numbers")
        if not self.lead_of and not 1 <= self.lead <= self.lead_from - (self.lead_to or 0) <= 999:
            self._reject(
                "at least 1 evaluation, at distinct descending timesteps of at most 999", "change the timesteps"
            )
        if self.lead_from and self.solver != "ddim":
            self._reject(f"steps for {self.solver}, which chooses its own timesteps", "write steps, such as 31/40")
        if self.tail_of and not 1 <= self.tail <= self.tail_of <= 1000:
            self._reject("a tail of at least 1 step, in a schedule of at most 1000", "change the numbers")
        if self.tail_timesteps and len(self.tail_timesteps) != self.tail:
            self._reject(f"{self.tail} timesteps in the tail", "give one per evaluation")
        if list(self.tail_timesteps) != sorted(set(self.tail_timesteps), reverse=True):
            self._reject("descending timesteps in the tail", "sort them and remove duplicates")
        if max(self.tail_timesteps, default=0) > 999:
            self._reject("timesteps of at most 999 in the tail", "lower them")
        if self.renoise == "recomputed" and not self.lead_to and self.lead_of in (0, self.lead):
            self._reject("a lead that leaves noise to recompute", "end it earlier")

    def _reject(self, expected: str, next_step: str) -> None:
        raise ScheduleError(expected, f"'{self}'", next_step)

    @property
    def first(self) -> Self:
        """The schedule's lead alone, without middle and tail."""
        return replace(self, middle="", tail=0, tail_of=0, tail_timesteps=(), renoise="direct")

    @property
    def evaluations(self) -> int:
        """Number of the teacher's evaluations. A guided one, with and without the caption, counts once."""
        return self.lead + self.tail

    def __str__(self) -> str:
        places = ",".join(map(str, self.tail_timesteps))
        tail = f"{self.tail}@{places}" if places else f"{self.tail}/{self.tail_of}"
        to_timestep = "" if self.lead_to is None else self.lead_to
        reach = f"@{self.lead_from}..{to_timestep}" if self.lead_from else f"/{self.lead_of}"
        parts = [f"{self.lead}{reach}", *filter(None, [self.middle]), *([tail] if self.tail else [])]
        brackets = [name for name in (self.renoise, self.solver, self.spacing) if name in NAMED]
        return " + ".join(parts) + "".join(f" ({name})" for name in brackets)


def make_default_schedule(lead: str | None, tail: int | None = None) -> Schedule:
    """Make the schedule for a CRF from the place that its config records.

    Args:
        lead: The schedule before the CRF. None for the paper's, "31/40".
        tail: Timestep of the first evaluation after the CRF; the tail is then ``place_tail(tail)``. None (default)
            for the last 2 of 50 steps, as in the paper.
    """
    first = Schedule.parse_lead(lead or PAPERS_LEAD)
    if tail is None:
        return replace(first, middle="crf", tail=2, tail_of=50)
    timesteps = place_tail(tail)
    return replace(first, middle="crf", tail=len(timesteps), tail_timesteps=timesteps, renoise="recomputed")


def place_tail(timestep: int) -> tuple[int, ...]:
    """Choose the timesteps of a tail that starts at ``timestep``: 101 -> (101, 21)."""
    return (timestep, LAST_TIMESTEP) if timestep > LAST_TIMESTEP else (timestep,)
