"""The types of the parameters of how exactly a teacher computes. They can change bytes, so they are in fingerprints."""

from typing import Annotated, Literal

from pydantic import Field

Precision = Annotated[
    Literal["float32", "bfloat16", "float16"],
    Field(description="dtype of the teacher; the shorter ones are faster on a GPU, and less exact"),
]
MicroBatch = Annotated[
    int, Field(ge=1, description="samples computed together; halved, with a warning, if the device is out of memory")
]
