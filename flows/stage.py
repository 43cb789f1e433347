"""Plan and run a stage, in plain functions: parameters -> target -> work -> result. Flows wire them to Prefect."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, Self, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict

from flows.overview.estimates import Estimate, estimate_rows
from flows.progress import Progress
from flows.runs.names import name_run
from flows.shards.truncation import read_truncated
from flows.story import Story
from flows.targets import find_target
from storage import Identity, locations
from storage.identity import DOCUMENT, RowSet, read_identity
from storage.records import read_record
from storage.seals import MANIFEST, is_sealed
from storage.store.layout import INDEX, list_committed_shards
from storage.store.records import StoreManifest
from storage.store.reuse import find_sources, fingerprint_shards

P = TypeVar("P", bound=BaseModel)
PlanState = Literal["fresh", "stale", "partial", "missing"]


@dataclass(frozen=True)
class Target:
    """The output to make: its identity, its number of units and, for a store, each shard's fingerprint and the rows."""

    identity: Identity
    total: int
    shards: list[str] = field(default_factory=list)
    rows: int = 0

    @classmethod
    def store(cls, identity: Identity, rows: RowSet, *ignored: str) -> Self:
        """Return the target of a stage that makes a store.

        Args:
            identity: Identity of the store.
            rows: The input set with a row per row of the store.
            ignored: Names of the inputs and parameters that a shard depends on only through its own rows, or not at
                all.
        """
        shards = fingerprint_shards(identity.without(*ignored), rows.shards)
        return cls(identity, len(shards), shards, rows.count)


@dataclass(frozen=True)
class Work:
    """A target with the URL of its output and the number of units done."""

    identity: Identity
    url: str
    done: int
    total: int
    shards: list[str]
    rows: int

    @property
    def sealed(self) -> bool:
        return is_sealed(self.url)


@dataclass(frozen=True)
class Stage(Generic[P]):
    """A stage of the pipeline.

    Args:
        name: Its name, which is also the folder of its outputs.
        find_target: Returns the output that parameters lead to. Quick: loads no model.
        compute: Makes the output, or resumes what an interrupted run left of it.
        unit: What progress counts, in the plural.
        row: What a row of its store is, in the plural.
        count_done: Counts the units of an unfinished output, given its URL.
        check: Raises UserError if the inputs, which must exist, cannot be used with these parameters.
    """

    name: str
    find_target: Callable[[P], Target]
    compute: Callable[[P, Work, Progress], None]
    unit: str = "shards"
    row: str = "rows"
    count_done: Callable[[str], int] = lambda url: len(list_committed_shards(url))
    check: Callable[[P], None] = lambda params: None

    def identify(self, params: P) -> Target:
        """Return the target. Within ``find_once``, later calls with equal parameters reuse it."""
        return find_target(self.name, params.model_dump_json(), lambda: self.find_target(params))


@dataclass(frozen=True)
class StagePlan:
    """One line of ``latentcrf plan``: whether a run would make the output, and why.

    ``estimate``: what the rest of a store takes; None for other outputs and for a sealed one.
    """

    stage: str
    state: PlanState
    reason: str
    done: int
    total: int
    fingerprint: str
    estimate: Estimate | None = None


class StageResult(BaseModel):
    """The result of a stage, as ``--json`` prints it.

    A store has counts: ``rows``, ``valid`` and ``rejected`` rows, ``truncated`` captions.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    state: Literal["computed", "cached"]
    fingerprint: str
    url: str
    rows: int | None = None
    valid: int | None = None
    rejected: int | None = None
    truncated: int | None = None


def find_work(stage: Stage[P], params: P, root: str) -> Work:
    """Return what there is to do: the output of these parameters, its URL, and how much of it is done."""
    target = stage.identify(params)
    url = target.identity.url(locations.make_absolute(root))
    done = target.total if is_sealed(url) else stage.count_done(url)
    return Work(target.identity, url, done, target.total, target.shards, target.rows)


def plan_stage(stage: Stage[P], params: P, root: str) -> StagePlan:
    """Tell what a run would do, and why: progress so far, what changed since the most similar output, what is copied.

    Shards that can be copied from older outputs count as done.
    """
    return plan_work(stage, find_work(stage, params, root), root)


def plan_work(stage: Stage[P], work: Work, root: str) -> StagePlan:
    """Tell what a run would do, and why. ``work``: what there is to do."""
    if work.sealed:
        return StagePlan(stage.name, "fresh", "sealed", work.done, work.total, work.identity.fingerprint)
    sources = find_sources(work.url, work.shards)
    older = None if work.done else find_nearest_other(work, root)
    reasons = [f"{work.done} of {work.total} {stage.unit} are done"] if work.done else []
    if older:
        reasons.append(f"changed: {', '.join(work.identity.changes_since(older))}")
    if sources:
        urls = ", ".join(sorted({source.url for source in sources.values()}))
        reasons.append(f"{len(sources)} of {work.total} {stage.unit} can be copied from {urls}")
    done = work.done + len(sources)
    state: PlanState = "partial" if done else "stale" if older else "missing"
    reason = "; ".join(reasons) or "never made"
    estimate = estimate_rest(work, done, older.url(locations.make_absolute(root)) if older else work.url)
    return StagePlan(stage.name, state, reason, done, work.total, work.identity.fingerprint, estimate)


def estimate_rest(work: Work, done: int, like: str) -> Estimate | None:
    """Estimate what the shards of a store beyond the ``done`` ones take, by those of the store at ``like``."""
    if not work.shards or done == work.total:
        return None
    return estimate_rows(min(work.rows, (work.total - done) * work.identity.parameters["shard_rows"]), like)


def find_nearest_other(work: Work, root: str) -> Identity | None:
    """Return the identity of the stage's sealed output with the fewest differences; None if none is sealed."""
    stage_url = locations.join(locations.make_absolute(root), work.identity.stage)
    urls = [locations.join(stage_url, name) for name in locations.list_names(stage_url)]
    older = [read_identity(url) for url in urls if is_sealed(url) and locations.exists(locations.join(url, DOCUMENT))]
    return min(older, key=lambda other: len(work.identity.changes_since(other)), default=None)


def run_stage(stage: Stage[P], params: P, root: str) -> StageResult:
    """Make the output unless it is sealed. If a run fails, the next one resumes from what it committed."""
    work = find_work(stage, params, root)
    story = Story(stage.name)
    size = f"{work.rows:,} {stage.row}" if work.shards else f"{work.total:,} {stage.unit}"
    name_run(stage.name, f"{stage.name} · {work.identity.fingerprint[:4]} · {size}")
    state: Literal["computed", "cached"] = "cached"
    if work.sealed:
        story.tell(f"nothing to do: sealed, at {work.url}")
    else:
        stage.check(params)
        if story.is_heard:
            planned = plan_work(stage, work, root)
            story.tell(f"{planned.state}, as {planned.reason}; {work.total:,} {stage.unit}, at {work.url}")
        work.identity.write(locations.make_absolute(root))
        with (
            Progress(stage.name) as progress,
            story.follow(progress, lambda: f"{stage.count_done(work.url)} of {work.total} {stage.unit}"),
        ):
            stage.compute(params, work, progress)
        state = "computed"
    counts = count_rows(work.url) if work.shards else {}
    if state == "computed":
        story.tell_end(work.url, counts)
    if counts.get("rejected"):
        story.tell_rejected(locations.join(work.url, INDEX))
    return StageResult(
        stage=stage.name,
        state=state,
        fingerprint=work.identity.fingerprint,
        url=work.url,
        **counts,
        **read_truncated(work.url),
    )


def count_rows(url: str) -> dict[str, int]:
    """Count a sealed store's rows: all, valid and rejected."""
    manifest = read_record(locations.join(url, MANIFEST), StoreManifest)
    return {"rows": manifest.rows, "valid": manifest.valid, "rejected": manifest.rejected}


def make_prefect_state(result: StageResult) -> State[StageResult]:
    """Wrap a result as a flow's final state. The Prefect UI shows ``Cached`` if there was nothing to do."""
    name = "Cached" if result.state == "cached" else "Completed"
    return Completed(name=name, message=f"{result.stage} {result.fingerprint} at {result.url}", data=result)


def describe_provenance(work: Work, **more: Any) -> dict[str, Any]:
    """Return how an output is made: its identity, the software's versions, and ``more``."""
    import importlib.metadata

    versions = {name: importlib.metadata.version(name) for name in ("latentcrf", "torch", "diffusers", "zarr", "ray")}
    return {**asdict(work.identity), "fingerprint": work.identity.fingerprint, "software": versions, **more}


def parse_fingerprint(url: str) -> str:
    """Return the fingerprint of a stage's output, which is the last part of its URL."""
    return locations.get_name(url)
