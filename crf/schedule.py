"""Which evaluations run, and where the CRF stands among them.

"50/50"                     all 50 steps of a 50-step schedule
"31/40 + crf + 2/50"        the first 31 of 40, the CRF, the last 2 of 50 (the paper's)
"31/40 + 2/50"              the same without the CRF
"31/40 + 2@201,21"          the last evaluations at timesteps of their own
"31@981..201 + crf + 2/50"  31 evaluations evenly from timestep 981 on, the CRF at timestep 201
"33@981.."                  33 evaluations evenly from timestep 981 to the end
"31/40 + x0"                end with the last evaluation's own prediction of the clean latents

The hand-over and the solver follow in brackets where they are not the paper's, and the steps' spacing
where it is not that of the teacher's own scheduler:
"31/40 + crf + 2/50 (consistent)", "33/33 (dpm++)", "50/50 (trailing)".
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

from crf.errors import ScheduleError

# The trajectories that the CRF is distilled from (section 3.5): state 40 of 50 -> state 50.
TEACHER_STEPS, TEACHER_SPLIT = 50, 40
PAPER = "31/40 + crf + 2/50"
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
    """``lead`` of ``lead_of`` steps, then ``middle``, then the last ``tail`` of ``tail_of`` steps.

    With ``lead_from`` the first part's evaluations run evenly from that timestep on instead, and end
    at ``lead_to``, or where nothing is left to denoise: a schedule of fewer steps may begin at less
    noise than the teacher's own, and end elsewhere for that alone. With ``tail_timesteps`` the last
    evaluations run at those timesteps. ``renoise`` says what the tail gets from the CRF or the x0
    prediction: the clean latents as they are ("direct", the paper's), with the trajectory's own
    noise put back ("consistent"), with the noise that they imply in the state they came from
    ("recomputed"), or with new noise ("fresh"). ``solver``: of the first part; "dpm++" is
    DPM-Solver++ of second order (arXiv 2211.01095). ``spacing``: of the timesteps of both parts,
    "leading" or "trailing" (arXiv 2305.08891, table 2); "" is the teacher's own.
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
        """Read the notation above; raises ScheduleError."""
        rest, named = text, {"renoise": renoise}
        while bracket := BRACKETS.search(rest):
            rest = rest[: bracket.start()]
            named[NAMED[bracket[1]]] = bracket[1]  # type: ignore[assignment]
        first, *others = (part.strip() for part in rest.split("+"))
        lead = LEAD.fullmatch(first)
        middle = others.pop(0) if others and others[0] in ("crf", "x0") else ""
        tail = TAIL.fullmatch(others[0]) if len(others) == 1 else None
        if lead is None or len(others) > 1 or (others and tail is None):
            raise ScheduleError(f"expected a schedule like '31/40 + crf + 2/50' or '50/50', found {text!r}")
        steps, of, count, timesteps = tail.groups() if tail else (None, None, None, None)
        schedule = cls(
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
        schedule._check(text)
        return schedule

    @classmethod
    def parse_lead(cls, text: str) -> Self:
        """The first part alone, "31/40"; raises ScheduleError for more."""
        schedule = cls.parse(text)
        if schedule.middle or schedule.tail:
            raise ScheduleError(f"expected the first part of a schedule alone, like '31/40', found {text!r}")
        return schedule

    def _check(self, text: str) -> None:
        if self.lead_of and not 1 <= self.lead <= self.lead_of <= 1000:
            raise ScheduleError(f"{text!r}: the first part takes between 1 and all of at most 1000 steps")
        if not self.lead_of and not 1 <= self.lead <= self.lead_from - (self.lead_to or 0) <= 999:
            raise ScheduleError(f"{text!r}: expected timesteps of at most 999 that fall, one an evaluation or more")
        if self.lead_from and self.solver != "ddim":
            raise ScheduleError(f"{text!r}: {self.solver} has timesteps of its own; give steps, such as 31/40")
        if self.tail_of and not 1 <= self.tail <= self.tail_of <= 1000:
            raise ScheduleError(f"{text!r}: the last part takes between 1 and all of at most 1000 steps")
        if self.tail_timesteps and len(self.tail_timesteps) != self.tail:
            raise ScheduleError(f"{text!r}: {self.tail} evaluations, but {len(self.tail_timesteps)} timesteps")
        if list(self.tail_timesteps) != sorted(set(self.tail_timesteps), reverse=True):
            raise ScheduleError(f"{text!r}: the timesteps must fall")
        if max(self.tail_timesteps, default=0) > 999:
            raise ScheduleError(f"{text!r}: expected timesteps of at most 999")
        if self.renoise == "recomputed" and not self.lead_to and self.lead_of in (0, self.lead):
            raise ScheduleError(f"{text!r}: after all {self.lead} steps no noise is left to recompute")

    @property
    def first(self) -> Self:
        """The first part alone."""
        return replace(self, middle="", tail=0, tail_of=0, tail_timesteps=(), renoise="direct")

    @property
    def evaluations(self) -> int:
        """Of the U-Net, each with and without the caption counted as one."""
        return self.lead + self.tail

    def __str__(self) -> str:
        places = ",".join(map(str, self.tail_timesteps))
        tail = f"{self.tail}@{places}" if places else f"{self.tail}/{self.tail_of}"
        to_timestep = "" if self.lead_to is None else self.lead_to
        reach = f"@{self.lead_from}..{to_timestep}" if self.lead_from else f"/{self.lead_of}"
        parts = [f"{self.lead}{reach}", *filter(None, [self.middle]), *([tail] if self.tail else [])]
        brackets = [name for name in (self.renoise, self.solver, self.spacing) if name in NAMED]
        return " + ".join(parts) + "".join(f" ({name})" for name in brackets)
