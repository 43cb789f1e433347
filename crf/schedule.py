"""A schedule: which evaluations of the teacher run, and where the CRF stands among them.

"50/50"                     all 50 steps of a 50-step schedule
"31/40 + crf + 2/50"        the first 31 of 40 steps, the CRF, the last 2 of 50 steps (the paper's)
"31/40 + 2/50"              the first 31 of 40 steps, the last 2 of 50 steps, no CRF
"31/40 + 2@201,21"          the last evaluations at timesteps 201 and 21
"31@981..201 + crf + 2/50"  31 evaluations spaced evenly from timestep 981, the CRF at timestep 201
"33@981.."                  33 evaluations spaced evenly from timestep 981 to the end
"4@981,721,401,161"         4 evaluations at these timesteps, to the end; "4@981,721,401,301..201" ends at 201
"31/40 + x0"                the first 31 of 40 steps, then the last evaluation's x0 prediction as the result

Brackets at the end name what differs from the paper's: the renoising, the solver, the spacing of the timesteps and
DeepCache. A range of guidance may follow.
"31/40 + crf + 2/50 (consistent)", "17@981.. (dpm++) (power 1.15)", "50/50 (deepcache 3)", "33@981.., guided to 401".
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, Self

from crf.errors import ScheduleError
from crf.notation import POWER, format_fields, parse_fields

# The trajectories that the CRF is distilled from (section 3.5): state 40 of 50 -> state 50.
TEACHER_STEPS, TEACHER_SPLIT = 50, 40
PAPERS_LEAD = "31/40"
PAPER = f"{PAPERS_LEAD} + crf + 2/50"
LAST_TIMESTEP = 21
"""Timestep of the last evaluation in a tail that ``place_tail`` makes."""
Renoise = Literal["direct", "consistent", "recomputed", "fresh"]
Solver = Literal["ddim", "dpm++", "dpm++3m", "unipc"]
LATEST = 1000
"""No timestep is later. Flow matching starts there; diffusion schedules start at 999 at most."""


@dataclass(frozen=True)
class Schedule:
    """The order in which the teacher's evaluations and the CRF run: a lead, a middle, a tail, and corrections in them.

    ``Schedule.parse`` reads one from text. The constructor checks that the schedule can be run.

    Args:
        lead: Number of evaluations before the CRF.
        lead_of: Steps in the full schedule that the lead is the first part of; 0 (default) if the lead has
            timesteps of its own.
        lead_from: Timestep at which a lead with a spacing of its own starts; 0 (default) otherwise. With it, a lead
            of fewer steps can start at as much noise as the teacher's own schedule.
        lead_to: Timestep at which a lead of ``lead_from`` or ``lead_timesteps`` ends. None (default): no noise is
            left.
        lead_timesteps: Timesteps of the lead's evaluations, descending. Default ().
        middle: What follows the lead: "crf", "x0" (the last evaluation's x0 prediction) or "" (default, nothing).
        tail: Number of evaluations after the middle. Default 0.
        tail_of: Steps in the full schedule that the tail is the last part of; 0 (default) without a tail or with
            ``tail_timesteps``.
        tail_timesteps: Timesteps of the tail's evaluations, descending, in place of ``tail_of``. Default ().
        renoise: How the middle's clean latents become the tail's first state: unchanged ("direct", default, as in
            the paper), with the eps of the lead's last evaluation ("consistent"), with the eps that relates them to
            the lead's last state ("recomputed"), or with new noise ("fresh").
        solver: Sampler of the lead: "ddim" (default; Euler for flow matching), "dpm++" and "dpm++3m" (DPM-Solver++
            of second and third order, arXiv 2211.01095), or "unipc" (arXiv 2302.04867).
        spacing: Spacing of the timesteps. "leading" or "trailing" (arXiv 2305.08891, table 2) for steps of a full
            schedule. For a lead of ``lead_from``, "power P" (t = lead_from - 1000 (i / lead)^P), "karras" (arXiv
            2206.00364, eq. 5), "ays" or "ays-xl" (arXiv 2404.14507, for SD 1.5 and SDXL). "" (default) is the
            teacher's own for steps, even for ``lead_from``.
        deepcache: Whole evaluations run once per so many steps, the others reuse deep features (arXiv 2312.00858).
            Default 1, always whole.
        extrapolated: Whether DeepCache extrapolates the deep features from the last two whole evaluations. Default
            False.
        corrections: Numbers of the evaluations, counted from 1 over lead and tail, whose x0 prediction the CRF replaces
            before the solver steps on from it. Default (). The lead or tail that they belong to has timesteps of its
            own.
        guided_from: Evaluations at later timesteps run without guidance. None (default) for no limit.
        guided_to: Evaluations at earlier timesteps run without guidance. Default 0.
        guidance_every: One of so many evaluations computes the guidance difference, the others reuse the last one.
            Default 1: each computes it.
        guidance_every_below: Evaluations at this timestep and later ones all compute it. None (default) for no limit.

    Raises:
        ScheduleError: The schedule cannot be run.

    Example:
        >>> schedule = Schedule.parse("31/40 + crf + 2/50")
        >>> schedule.evaluations
        33
    """

    lead: int
    lead_of: int = 0
    lead_from: float = 0
    lead_to: int | None = None
    lead_timesteps: tuple[float, ...] = ()
    middle: Literal["", "crf", "x0"] = ""
    tail: int = 0
    tail_of: int = 0
    tail_timesteps: tuple[float, ...] = ()
    renoise: Renoise = "direct"
    solver: Solver = "ddim"
    spacing: str = ""
    deepcache: int = 1
    extrapolated: bool = False
    corrections: tuple[int, ...] = ()
    guided_from: int | None = None
    guided_to: int = 0
    guidance_every: int = 1
    guidance_every_below: int | None = None

    @classmethod
    def parse(cls, text: str, renoise: Renoise = "direct") -> Self:
        """Parse a schedule in the notation of ``str(schedule)``, e.g. "31/40 + crf + 2/50 (recomputed)".

        Args:
            text: A lead, optionally "crf" or "x0", and optionally a tail, joined by "+". Lead and tail are evaluations,
                or several of them with "+ crf +" in between. Renoising, solver and spacing follow in brackets.
            renoise: The renoising if no bracket names one. Default "direct".

        Returns:
            The schedule. ``Schedule.parse(str(schedule))`` equals it.

        Raises:
            ScheduleError: The text is not a schedule, or the schedule cannot be run.
        """
        return cls(**{"renoise": renoise, **parse_fields(text)})

    @classmethod
    def parse_lead(cls, text: str) -> Self:
        """Parse a lead alone, without any CRF, e.g. "31/40" or "31@981..201".

        Args:
            text: The lead. A solver and a spacing may follow in brackets.

        Returns:
            A schedule without middle, tail and corrections.

        Raises:
            ScheduleError: The text is not a schedule, or it has a middle, a tail or corrections.
        """
        schedule = cls.parse(text)
        if schedule.middle or schedule.tail or schedule.corrections:
            raise ScheduleError("a lead alone", repr(text), "leave out what follows it, as in '31/40'")
        return schedule

    def __post_init__(self) -> None:
        self._check_lead()
        if self.tail_of and not 1 <= self.tail <= self.tail_of <= 1000:
            self._reject("a tail of at least 1 step, in a schedule of at most 1000", "change the numbers")
        if self.tail_timesteps:
            self._check_timesteps("tail", self.tail, self.tail_timesteps)
        if self.renoise == "recomputed" and not self.lead_to and self.lead_of in (0, self.lead):
            self._reject("a lead that leaves noise to recompute", "end it earlier")
        self._check_corrections()
        if not 1 <= self.deepcache <= 1000:
            self._reject("an interval of 1 or more for DeepCache", "change it")
        if self.guided_from is not None and self.guided_from < self.guided_to:
            self._reject("a range of guidance that falls", "swap its timesteps")
        if self.guidance_every < 1 or (self.guidance_every_below is not None and self.guidance_every == 1):
            self._reject("a guidance difference of at least 1 evaluation, of 2 or more below a timestep", "change it")
        if self.guidance_every > 1 and self.deepcache > 1:
            self._reject("DeepCache or reused guidance", "leave one out")

    def _check_lead(self) -> None:
        if self.lead_of:
            if not 1 <= self.lead <= self.lead_of <= 1000:
                self._reject("a lead of at least 1 step, in a schedule of at most 1000", "change the numbers")
        elif self.lead_timesteps:
            self._check_timesteps("lead", self.lead, self.lead_timesteps)
            if self.lead_to is not None and self.lead_to >= self.lead_timesteps[-1]:
                self._reject("a lead that ends below its last timestep", "lower its end")
        elif not 1 <= self.lead <= self.lead_from - (self.lead_to or 0) <= LATEST:
            self._reject(
                f"at least 1 evaluation, at distinct descending timesteps of at most {LATEST}", "change the timesteps"
            )
        named = self.spacing in ("karras", "ays", "ays-xl") or POWER.fullmatch(self.spacing)
        if named and not self.lead_from:
            self._reject(f"a lead such as 17@981.. for the spacing '{self.spacing}'", "write its first timestep")

    def _check_corrections(self) -> None:
        if list(self.corrections) != sorted(set(self.corrections) & set(range(1, self.evaluations + 1))):
            self._reject(f"corrections among the {self.evaluations} evaluations", "sort them and remove others")
        for number in self.corrections:
            if not (self.lead_timesteps if number <= self.lead else self.tail_timesteps):
                self._reject("timesteps written out where the CRF corrects", "write them, as in 2@981,721 + crf")
        if self.lead in self.corrections and (self.middle or self.tail or self.lead_to is not None):
            self._reject("a lead without an end where the CRF corrects its last evaluation", "leave out what follows")

    def _check_timesteps(self, part: str, count: int, timesteps: tuple[float, ...]) -> None:
        if len(timesteps) != count:
            self._reject(f"{count} timesteps in the {part}", "give one per evaluation")
        if list(timesteps) != sorted(set(timesteps), reverse=True):
            self._reject(f"descending timesteps in the {part}", "sort them and remove duplicates")
        if timesteps[0] > LATEST:
            self._reject(f"timesteps of at most {LATEST} in the {part}", "lower them")

    def _reject(self, expected: str, next_step: str) -> None:
        raise ScheduleError(expected, f"'{self}'", next_step)

    @property
    def first(self) -> Self:
        """The schedule's lead alone, without middle and tail."""
        own = tuple(number for number in self.corrections if number <= self.lead)
        return replace(self, middle="", tail=0, tail_of=0, tail_timesteps=(), renoise="direct", corrections=own)

    @property
    def crfs(self) -> int:
        """Number of times that the CRF runs."""
        return len(self.corrections) + (self.middle == "crf")

    @property
    def step_spacing(self) -> str:
        """The spacing of a full schedule's steps: "leading", "trailing", or "" for the teacher's own."""
        return self.spacing if self.spacing in ("leading", "trailing") else ""

    def is_guided_at(self, timestep: float) -> bool:
        """Return whether an evaluation at a timestep runs with guidance, if there is guidance at all."""
        return self.guided_to <= timestep <= (LATEST if self.guided_from is None else self.guided_from)

    @property
    def evaluations(self) -> int:
        """Number of the teacher's evaluations. A guided one, with and without the caption, counts once."""
        return self.lead + self.tail

    def __str__(self) -> str:
        return format_fields({field.name: getattr(self, field.name) for field in fields(self)})


def make_default_schedule(lead: str | None, tail: int | None = None, schedule: str | None = None) -> Schedule:
    """Make the schedule for a CRF from the place that its config records.

    Args:
        lead: The schedule before the CRF. None for the paper's, "31/40".
        tail: Timestep of the first evaluation after the CRF; the tail is then ``place_tail(tail)``. None (default)
            for the last 2 of 50 steps, as in the paper.
        schedule: The schedule of its roll-outs, which is then the result. None (default) if it has none.
    """
    if schedule is not None:
        return Schedule.parse(schedule)
    first = Schedule.parse_lead(lead or PAPERS_LEAD)
    if tail is None:
        return replace(first, middle="crf", tail=2, tail_of=50)
    timesteps = place_tail(tail)
    return replace(first, middle="crf", tail=len(timesteps), tail_timesteps=timesteps, renoise="recomputed")


def place_tail(timestep: int) -> tuple[int, ...]:
    """Choose the timesteps of a tail that starts at ``timestep``: 101 -> (101, 21)."""
    return (timestep, LAST_TIMESTEP) if timestep > LAST_TIMESTEP else (timestep,)
