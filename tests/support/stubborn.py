"""A stage that fails as often as it is tried."""

from pydantic import BaseModel, ConfigDict, Field

from flows.progress import Progress
from flows.stage import Stage, Target, Work


class Asked(BaseModel):
    """What the stage fails with, and how often it was tried."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    error: Exception = Field(exclude=True)
    times: int = 0


def fail(params: Asked) -> Target:
    params.times += 1
    raise params.error


def compute(params: Asked, work: Work, progress: Progress) -> None:
    raise params.error


FAILING = Stage("failing", fail, compute)
