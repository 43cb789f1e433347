"""Which evaluations of the teacher run, and where the CRF stands among them.

"50/50"                     all 50 steps of a 50-step schedule
"31/40 + crf + 2/50"        the first 31 of 40 steps, the CRF, the last 2 of 50 steps (the paper's)
"31/40 + 2/50"              the same without the CRF
"31/40 + 2@201,21"          the last evaluations at timesteps 201 and 21
"31@981..201 + crf + 2/50"  31 evaluations spaced evenly from timestep 981, the CRF at timestep 201
"33@981.."                  33 evaluations spaced evenly from timestep 981 to the end
"31/40 + x0"                end with the last evaluation's own prediction of the clean latents

The renoising and the solver follow in brackets if they are not the paper's, and the spacing of the timesteps
if it is not that of the teacher's own scheduler:
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
"""Where the last evaluation of a tail at chosen timesteps stands."""
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
    """The order of the teacher's evaluations and the CRF: a lead, a middle and a tail.

    A schedule is checked when it is made; one that cannot be run raises ScheduleError.

    Args:
        lead: Number of evaluations before the CRF.
        lead_of: Length in steps of the whole schedule that the lead is the first part of; 0 if ``lead_from``
            is given.
        lead_from: Timestep at which an evenly spaced lead starts; 0 (default) for none. A schedule of fewer
            steps may start at less noise than the teacher's own does; this avoids that.
        lead_to: Timestep at which an evenly spaced lead ends; None (default) for the end of the schedule.
        middle: "crf", "x0" (the last evaluation's prediction of the clean latents) or "" (default, nothing).
        tail: Number of evaluations after the middle; 0 by default.
        tail_of: Length in steps of the whole schedule that the tail is the last part of.
        tail_timesteps: Timesteps of the tail's evaluations, instead of ``tail_of``.
        renoise: What the tail receives from the middle: the clean latents as they are ("direct", default, the
            paper's), with the trajectory's own noise ("consistent"), with the noise that they imply in the
            state they came from ("recomputed"), or with new noise ("fresh").
        solver: Sampler of the lead: "ddim" (default) or "dpm++", DPM-Solver++ of second order
            (arXiv 2211.01095).
        spacing: Timestep spacing of lead and tail, "leading" or "trailing" (arXiv 2305.08891, table 2);
            "" (default) is the teacher's own.

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
        """Read the notation that ``str(schedule)`` writes, such as "31/40 + crf + 2/50 (recomputed)".

        Args:
            text: A lead, then optionally "crf" or "x0", then optionally a tail, joined by "+"; renoising,
                solver and spacing in brackets at the end.
            renoise: Renoising to use if none is in brackets; "direct" by default.

        Returns:
            The schedule; ``str()`` of it gives the text back.

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
        """Read a lead alone, such as "31/40" or "31@981..201"; raises ScheduleError for anything more."""
        schedule = cls.parse(text)
        if schedule.middle or schedule.tail:
            raise ScheduleError("the first part of a schedule alone", repr(text), "write one like '31/40'")
        return schedule

    def __post_init__(self) -> None:
        if self.lead_of and not 1 <= self.lead <= self.lead_of <= 1000:
            self._reject("a first part of 1 to all of at most 1000 steps", "take fewer evaluations")
        if not self.lead_of and not 1 <= self.lead <= self.lead_from - (self.lead_to or 0) <= 999:
            self._reject("falling timesteps of at most 999, one or more per evaluation", "change the timesteps")
        if self.lead_from and self.solver != "ddim":
            self._reject(f"steps for {self.solver}, which has its own timesteps", "give steps, such as 31/40")
        if self.tail_of and not 1 <= self.tail <= self.tail_of <= 1000:
            self._reject("a last part of 1 to all of at most 1000 steps", "take fewer evaluations")
        if self.tail_timesteps and len(self.tail_timesteps) != self.tail:
            self._reject(f"{self.tail} timesteps in the last part", "give one per evaluation")
        if list(self.tail_timesteps) != sorted(set(self.tail_timesteps), reverse=True):
            self._reject("falling timesteps in the last part", "sort them")
        if max(self.tail_timesteps, default=0) > 999:
            self._reject("timesteps of at most 999 in the last part", "lower them")
        if self.renoise == "recomputed" and not self.lead_to and self.lead_of in (0, self.lead):
            self._reject("a first part that leaves noise to recompute", "end it earlier")

    def _reject(self, expected: str, next_step: str) -> None:
        raise ScheduleError(expected, f"'{self}'", next_step)

    @property
    def first(self) -> Self:
        """The lead alone."""
        return replace(self, middle="", tail=0, tail_of=0, tail_timesteps=(), renoise="direct")

    @property
    def evaluations(self) -> int:
        """Evaluations of the network; a guided one, with and without the caption, counts once."""
        return self.lead + self.tail

    def __str__(self) -> str:
        places = ",".join(map(str, self.tail_timesteps))
        tail = f"{self.tail}@{places}" if places else f"{self.tail}/{self.tail_of}"
        to_timestep = "" if self.lead_to is None else self.lead_to
        reach = f"@{self.lead_from}..{to_timestep}" if self.lead_from else f"/{self.lead_of}"
        parts = [f"{self.lead}{reach}", *filter(None, [self.middle]), *([tail] if self.tail else [])]
        brackets = [name for name in (self.renoise, self.solver, self.spacing) if name in NAMED]
        return " + ".join(parts) + "".join(f" ({name})" for name in brackets)


def default_schedule(lead: str | None, tail: int | None = None) -> Schedule:
    """The schedule of a CRF that was distilled on ``lead`` ("31/40" if None) and, if given, for ``tail``.

    Without a tail the last 2 of 50 steps follow the CRF, as in the paper; with one the last evaluations stand
    at the timesteps ``place_tail(tail)``.
    """
    first = Schedule.parse_lead(lead or PAPERS_LEAD)
    if tail is None:
        return replace(first, middle="crf", tail=2, tail_of=50)
    timesteps = place_tail(tail)
    return replace(first, middle="crf", tail=len(timesteps), tail_timesteps=timesteps, renoise="recomputed")


def place_tail(timestep: int) -> tuple[int, ...]:
    """Timesteps of a tail that starts at ``timestep``: 101 -> (101, 21)."""
    return (timestep, LAST_TIMESTEP) if timestep > LAST_TIMESTEP else (timestep,)
