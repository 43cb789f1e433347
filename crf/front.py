"""The front of schedules that a search found for a teacher: the best one for each number of evaluations."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from crf.errors import InputError
from crf.schedule import Schedule

FRONT_VERSION = 1


def hash_caption(caption: str) -> str:
    """Return 12 hex digits that are equal for equal captions, apart from case and outer spaces."""
    return hashlib.sha256(caption.strip().casefold().encode()).hexdigest()[:12]


@dataclass(frozen=True)
class FrontPoint:
    """The best schedule found for one number of evaluations.

    Args:
        evaluations: Number of whole evaluations that was searched for. A schedule with DeepCache or with a range of
            guidance evaluates more often at the same cost.
        passes: Passes through the teacher's network, two per guided evaluation.
        schedule: The schedule's text, for ``Schedule.parse``.
        timesteps: The evaluations' timesteps, for a stock scheduler of diffusers.
        latent_mse: Mean squared error to the latents of the teacher's 50 steps, on the selection captions.
        low: Lower end of the error's 95 % interval over captions.
        high: Upper end of the error's 95 % interval over captions.
    """

    evaluations: int
    passes: float
    schedule: str
    timesteps: tuple[float, ...]
    latent_mse: float
    low: float
    high: float


@dataclass(frozen=True)
class Front:
    """The schedules that a search found, and which one it recommends.

    Args:
        points: The schedules, from the most evaluations to the fewest.
        recommended: ``evaluations`` of the cheapest schedule that stays within the tolerance, or None if none does.
        teacher: Fingerprints of the teacher's parts, but for its VAE, which no schedule depends on.
        guidance_scale: Guidance scale of the search.
        seen: ``hash_caption`` of each caption that the search chose by. On these, the schedules look too good.
    """

    points: tuple[FrontPoint, ...]
    recommended: int | None
    teacher: dict[str, str]
    guidance_scale: float
    seen: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read ``schedule.json``. Raises InputError if the file is something else."""
        try:
            return cls.parse(Path(path).read_text())
        except OSError as error:
            raise InputError("a schedule.json, written by latentcrf search", f"{error}", "check the path") from error

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of ``schedule.json``. Raises InputError if it is something else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("version") != FRONT_VERSION:
                raise ValueError("another version")
            points = tuple(FrontPoint(**{**p, "timesteps": tuple(p["timesteps"])}) for p in fields.pop("points"))
            return cls(points=points, seen=tuple(fields.pop("seen")), **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the schedules of a search, version {FRONT_VERSION}", f"{error}", "give the schedule.json of a search"
            ) from error

    def format(self) -> str:
        """Write the text of ``schedule.json``."""
        return json.dumps({"version": FRONT_VERSION, **asdict(self)}, indent=1) + "\n"

    def choose(self, evaluations: int | None = None) -> Schedule:
        """Return the schedule of a number of evaluations, by default the recommended one or the longest.

        Raises:
            InputError: The front has no schedule of so many evaluations.
        """
        wanted = self.recommended if evaluations is None else evaluations
        if wanted is None:
            wanted = self.points[0].evaluations
        for point in self.points:
            if point.evaluations == wanted:
                return Schedule.parse(point.schedule)
        known = ", ".join(str(point.evaluations) for point in self.points)
        raise InputError(f"one of the front's numbers of evaluations, {known}", str(wanted), "ask for one of these")
