"""The parameters of ``search``."""

from pydantic import Field

from flows.parameters.base import Options, Root, TeacherFolder
from flows.parameters.precision import MicroBatch, Precision
from flows.parameters.running import Resources


class SearchOptions(Options):
    evaluations: list[int] = Field(
        [33, 25, 17, 12, 10, 8], min_length=1, description="numbers of the teacher's evaluations to search for"
    )
    tolerance: float = Field(
        1.0,
        gt=0,
        description="recommend the cheapest schedule that ends this near to the teacher's 50 steps, as a multiple of "
        "their own distance to the converged reference",
    )
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    first_captions: int = Field(16, ge=2, description="calibration captions of the first round, which drops most")
    calibrate_limit: int | None = Field(None, ge=2, description="use only this many calibration captions")
    select_limit: int | None = Field(None, ge=2, description="use only this many selection captions")
    test_limit: int | None = Field(None, ge=2, description="use only this many test captions")
    shard_rows: int = Field(8, ge=1, description="samples per shard, the unit of work and resume")
    guidance_scale: float = Field(7.5, description="classifier-free guidance scale, as given to teach")
    seed: int = Field(1, ge=0, description="determines each sample's noise, together with its id")
    dtype: Precision = "float32"
    micro_batch: MicroBatch = 16


class SearchParameters(SearchOptions):
    """Parameters of ``search``: a teacher and its trajectories -> the front of its fastest schedules."""

    trajectories: str = Field(description="teacher store, made by teach with --trajectory")
    calibrate: str = Field(description="captions that the candidates are raced on")
    select: str = Field(description="captions that the front is chosen on")
    test: str = Field(description="captions that the front is reported on, once")
    teacher: TeacherFolder
    crf: str | None = Field(None, description="CRF, for candidates that have one")
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)

    @property
    def caption_sets(self) -> dict[str, tuple[str, int | None]]:
        """The captions of the search and how many of each to use, by what they are for."""
        return {
            "calibrate": (self.calibrate, self.calibrate_limit),
            "select": (self.select, self.select_limit),
            "test": (self.test, self.test_limit),
        }
