"""How a job runs. These parameters change no bytes, so they are in no fingerprint."""

from fractions import Fraction
from typing import Literal

from pydantic import Field

from flows.parameters.base import Options


class Resources(Options):
    """What a stage's Ray job uses. What is given is asked for, even if a cluster has yet to add the nodes for it."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: GPUs if Ray has any now")
    actors: int | None = Field(
        None, ge=1, description="model actors; by default one per GPU that Ray has now or, without any, per core"
    )
    gpus_per_actor: Literal["1", "1/2", "1/4"] = Field(
        "1", description="GPUs of each model actor; two or four small models can share one"
    )
    accelerator: str | None = Field(
        None, description="only GPUs of nodes with this label ray.io/accelerator-type, such as H100"
    )
    decoders: int | None = Field(
        None, ge=1, description="tasks per model actor that read and decode its input; by default as cores allow"
    )
    compile: bool = Field(
        False, description="apply torch.compile to the teacher: takes a minute per actor, and saves time in long jobs"
    )

    @property
    def gpu_share(self) -> float:
        """GPUs of each model actor, if it uses any."""
        return float(Fraction(self.gpus_per_actor))

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the node of a model actor or a training worker must have."""
        return {"ray.io/accelerator-type": self.accelerator} if self.accelerator else {}

    def uses_gpus(self, alive: int) -> bool:
        """Tell whether to use GPUs, if ``alive`` are there now."""
        return self.device == "cuda" or (self.device == "auto" and (alive > 0 or self.accelerator is not None))
