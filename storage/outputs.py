"""What lies below a root: the stages' outputs, how far they are, and which was made from which."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import fsspec

from storage import locations
from storage.errors import UserError
from storage.identity import DOCUMENT, Identity, read_identity
from storage.store.layout import CREATED, MANIFEST

COMMIT, CHECKPOINT = re.compile(r"commits/\d{5}\.json"), re.compile(r"checkpoints/step-(\d+)/manifest\.json")


@dataclass(frozen=True)
class Output:
    """One output of a stage: its identity, and the size in bytes of every object in it, by path."""

    url: str
    identity: Identity
    sizes: dict[str, int]
    rows: int | None  # of a store that is laid out

    @property
    def fingerprint(self) -> str:
        return locations.name_of(self.url)

    @property
    def kind(self) -> Literal["store", "checkpoint", "report"]:
        if self.identity.stage == "evaluate":
            return "report"
        return "store" if "shard_rows" in self.identity.parameters else "checkpoint"

    @property
    def sealed(self) -> bool:
        return MANIFEST in self.sizes

    @property
    def progress(self) -> tuple[int, int]:
        """Committed shards and all of them; of a training, the newest checkpoint's step and the last."""
        if self.kind == "checkpoint":
            found = [CHECKPOINT.fullmatch(path) for path in self.sizes]
            total = self.identity.parameters["steps"]
            return total if self.sealed else max((int(step[1]) for step in found if step), default=0), total
        shard_rows = self.identity.parameters["shard_rows"]
        return sum(bool(COMMIT.fullmatch(path)) for path in self.sizes), -(-(self.rows or 0) // shard_rows)

    def age(self) -> float:
        """Seconds since it was sealed or, unsealed, since it was begun last."""
        fs, path = fsspec.url_to_fs(locations.join(self.url, MANIFEST if self.sealed else DOCUMENT))
        return float((datetime.now(UTC) - fs.modified(path)).total_seconds())


def find_outputs(root: str) -> list[Output]:
    """Every output below a root, by stage and fingerprint; raises UserError where there is none."""
    root = locations.make_absolute(root)
    folders = [
        locations.join(root, stage, name)
        for stage in locations.list_names(root)
        for name in locations.list_names(locations.join(root, stage))
    ]
    outputs = [read_output(url) for url in folders if locations.exists(locations.join(url, DOCUMENT))]
    if not outputs:
        raise UserError("a root with outputs ({root}/{stage}/{fingerprint})", f"none below {root}", "check the URL")
    return outputs


def read_output(url: str) -> Output:
    sizes = locations.find(url)
    rows = locations.read_json(locations.join(url, CREATED))["rows"] if CREATED in sizes else None
    return Output(url, read_identity(url), sizes, rows)


def dependencies(output: Output, outputs: Iterable[Output]) -> list[Output]:
    """The output, and all it was made from, directly or not, as far as it lies below the same root."""
    by_fingerprint = {other.fingerprint: other for other in outputs}
    reached, waiting = {}, [output]
    while waiting:
        now = waiting.pop()
        reached[now.url] = now
        waiting += [by_fingerprint[key] for key in now.identity.inputs.values() if key in by_fingerprint]
    return list(reached.values())


def teacher_parts(output: Output, outputs: Iterable[Output]) -> dict[str, str]:
    """The fingerprints of the teacher's parts that it depends on, directly or through its inputs."""
    inputs = [item for made_from in dependencies(output, outputs) for item in made_from.identity.inputs.items()]
    return {name.removeprefix("teacher."): value for name, value in sorted(inputs) if name.startswith("teacher.")}


def split_by_use(outputs: list[Output], keep: list[str]) -> tuple[list[Output], list[Output]]:
    """``keep``: URLs or fingerprints. -> what has to stay (those, and all they were made from), and the rest."""
    needed: set[str] = set()
    for name in keep:
        named = [
            output for output in outputs if name == output.fingerprint or locations.make_absolute(name) == output.url
        ]
        if not named:
            raise UserError("the URL or the fingerprint of an output to keep", name, "see `latentcrf ls`")
        needed |= {other.url for output in named for other in dependencies(output, outputs)}
    return [o for o in outputs if o.url in needed], [o for o in outputs if o.url not in needed]


def remove_output(output: Output) -> None:
    """The seal first, then the other records, so that what is left of a removal cut short never counts as made."""
    records = sorted((path for path in output.sizes if path.endswith(".json")), key=lambda path: path != MANIFEST)
    for path in [path for path in records if path != DOCUMENT]:
        locations.remove(locations.join(output.url, path))
    fs, folder = fsspec.url_to_fs(output.url)
    fs.rm(folder, recursive=True)
