"""Read evaluation reports (report.json, version 2): all that ``reproduce`` knows of their layout."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from storage import locations
from storage.errors import NewerVersionError, UserError
from storage.outputs import find_newest

VERSION = 2


class InputSet(BaseModel):
    """The captions or the real images of an evaluation."""

    count: int


class Features(BaseModel):
    """The network whose features the metrics compare."""

    name: str


class Vendi(BaseModel):
    """What diversity is measured on: ``noises`` images of each of so many captions."""

    captions: int
    noises: int


class Protocol(BaseModel):
    """How an evaluation measured."""

    features: Features
    captions: InputSet
    images: InputSet
    noises: int
    vendi: Vendi
    guidance_scale: float
    size: int


class Mean(BaseModel):
    """A mean over captions."""

    mean: float


class Distance(BaseModel):
    """A Fréchet distance."""

    value: float


class Seconds(BaseModel):
    """Seconds per image."""

    median: float


class Row(BaseModel):
    """One method of a report. A figure that means nothing is None."""

    key: str
    schedule: str
    kind: str
    seconds: Seconds
    distance_to_real: Distance | None = None
    clip_score: float | None = None
    vendi: Mean | None = None


class Made(BaseModel):
    """What an evaluation was made with. ``crf``: the CRF's config, if there was a CRF."""

    crf: dict[str, Any] | None = None


class Version(BaseModel):
    """The version of a report.json; the first one did not write it."""

    version: int = 1


class Document(BaseModel):
    """A report.json of version 2. Fields that ``reproduce`` does not read are left out."""

    protocol_id: str
    protocol: Protocol
    made: Made
    rows: list[Row]


@dataclass(frozen=True)
class Report:
    """An evaluation's report and the URL of the evaluation."""

    url: str
    document: Document

    @property
    def reference(self) -> Row | None:
        """The teacher's own 50 steps, which other methods are compared with."""
        return next((row for row in self.document.rows if row.kind == "reference"), None)


def find_reports(urls: list[str], root: str) -> list[Report]:
    """Read the reports at ``urls``; without any, the newest below a root, if there is one."""
    newest = find_newest(root, "evaluate")
    return [read_report(url) for url in urls or ([newest] if newest else [])]


def read_report(url: str) -> Report:
    """Read an evaluation's report. Raises UserError if there is none, or if it cannot be read.

    ``url``: of the evaluation, or of its report.html, which ``evaluate`` prints.
    """
    folder = url.removesuffix("/report.html").removesuffix("/report.json")
    file = locations.join(folder, "report.json")
    if not locations.exists(file):
        raise UserError("an evaluation's report", f"no {file}", "give the URL that `latentcrf evaluate` printed")
    content = locations.read_bytes(file)
    try:
        version = Version.model_validate_json(content).version
        if version > VERSION:
            raise NewerVersionError(f"a report of version {VERSION}", f"{version} in {file}")
        if version < VERSION:
            raise UserError(f"a report of version {VERSION}", f"{version} in {file}", "run latentcrf evaluate again")
        return Report(folder, Document.model_validate_json(content))
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']} in {file}"
        raise UserError("an evaluation's report", found, "run latentcrf evaluate again") from None
