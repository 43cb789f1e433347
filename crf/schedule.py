"""Which evaluations run, and where the CRF stands among them.

"50/50"                     all 50 steps of a 50-step schedule
"31/40 + crf + 2/50"        the first 31 of 40, the CRF, the last 2 of 50 (the paper's)
"31/40 + 2/50"              the same without the CRF
"31/40 + 2@201,21"          the last evaluations at timesteps of their own
"31/40 + x0"                end with the last evaluation's own prediction of the clean latents
"""

import re
from dataclasses import dataclass
from typing import Literal, Self

# The trajectories that the CRF is distilled from (section 3.5): state 40 of 50 -> state 50.
TEACHER_STEPS, TEACHER_HAND_OVER = 50, 40
Handover = Literal["direct", "consistent", "recomputed", "fresh"]
Solver = Literal["ddim", "dpm++"]
LEAD = re.compile(r"(\d+)/(\d+)")
TAIL = re.compile(r"(\d+)/(\d+)|(\d+)@(\d+(?:,\d+)*)")


class ScheduleError(ValueError):
    """The schedule cannot be read."""


@dataclass(frozen=True)
class Schedule:
    """``lead`` of ``lead_of`` steps, then ``middle``, then the last ``tail`` of ``tail_of`` steps.

    With ``tail_timesteps`` the last evaluations run at those timesteps instead. ``handover`` says
    what the tail gets from the CRF or the x0 prediction: the clean latents as they are ("direct",
    the paper's), with the trajectory's own noise put back ("consistent"), with the noise that
    they imply in the state they came from ("recomputed"), or with new noise ("fresh").
    ``solver``: of the first part; "dpm++" is DPM-Solver++ of second order (arXiv 2211.01095).
    """

    lead: int
    lead_of: int
    middle: Literal["", "crf", "x0"] = ""
    tail: int = 0
    tail_of: int = 0
    tail_timesteps: tuple[int, ...] = ()
    handover: Handover = "direct"
    solver: Solver = "ddim"

    @classmethod
    def parse(cls, text: str, handover: Handover = "direct", solver: Solver = "ddim") -> Self:
        """Read the notation above; raises ScheduleError."""
        first, *rest = (part.strip() for part in text.split("+"))
        lead = LEAD.fullmatch(first)
        middle = rest.pop(0) if rest and rest[0] in ("crf", "x0") else ""
        tail = TAIL.fullmatch(rest[0]) if len(rest) == 1 else None
        if lead is None or len(rest) > 1 or (rest and tail is None):
            raise ScheduleError(f"expected a schedule like '31/40 + crf + 2/50' or '50/50', found {text!r}")
        steps, of, count, timesteps = tail.groups() if tail else (None, None, None, None)
        schedule = cls(
            lead=int(lead[1]),
            lead_of=int(lead[2]),
            middle=middle,  # type: ignore[arg-type]
            tail=int(steps or count or 0),
            tail_of=int(of or 0),
            tail_timesteps=tuple(map(int, timesteps.split(","))) if timesteps else (),
            handover=handover,
            solver=solver,
        )
        schedule._check(text)
        return schedule

    def _check(self, text: str) -> None:
        if not 1 <= self.lead <= self.lead_of <= 1000:
            raise ScheduleError(f"{text!r}: the first part takes between 1 and all of at most 1000 steps")
        if self.tail_of and not 1 <= self.tail <= self.tail_of <= 1000:
            raise ScheduleError(f"{text!r}: the last part takes between 1 and all of at most 1000 steps")
        if self.tail_timesteps and len(self.tail_timesteps) != self.tail:
            raise ScheduleError(f"{text!r}: {self.tail} evaluations, but {len(self.tail_timesteps)} timesteps")
        if list(self.tail_timesteps) != sorted(set(self.tail_timesteps), reverse=True):
            raise ScheduleError(f"{text!r}: the timesteps must fall")

    @property
    def evaluations(self) -> int:
        """Of the U-Net, each with and without the caption counted as one."""
        return self.lead + self.tail

    def __str__(self) -> str:
        places = ",".join(map(str, self.tail_timesteps))
        tail = f"{self.tail}@{places}" if places else f"{self.tail}/{self.tail_of}"
        return " + ".join([f"{self.lead}/{self.lead_of}", *filter(None, [self.middle]), *([tail] if self.tail else [])])
