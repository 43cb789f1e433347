"""How a job runs. These parameters change no bytes, so they are in no fingerprint."""

from typing import Literal

from pydantic import Field

from flows.parameters.base import Options


class Resources(Options):
    """What a stage's Ray job uses."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: GPUs if Ray has any now")
    actors: int | None = Field(
        None, ge=1, description="model actors; by default one per GPU that Ray has now or, without any, per core"
    )
    compile: bool = Field(
        False, description="apply torch.compile to the teacher: takes a minute per actor, and saves time in long jobs"
    )
