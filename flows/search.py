"""The ``search`` stage: a teacher and its trajectories -> the front of its fastest schedules."""

from prefect import flow

from flows.parameters.searching import SearchOptions, SearchParameters
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.report.artifacts import publish_search
from flows.runs.stage_runs import run_as_flow
from flows.searching.captions import check_calibration, check_disjoint
from flows.searching.trajectories import check_trajectories
from flows.shards.samples import iterate_samples
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state, parse_fingerprint
from storage import Identity, locations
from storage.identity import fingerprint_rows

ROUNDS = 4  # two on the calibration captions, one on the selection, one on the test captions


def identify(params: SearchParameters) -> Target:
    inputs = {"teach": parse_fingerprint(params.trajectories)}
    for name, (captions, limit) in params.caption_sets.items():
        inputs[name] = fingerprint_rows(iterate_samples(captions, limit), params.shard_rows).fingerprint
    teacher = {f"teacher.{part}": value for part, value in fingerprint_parts(params.teacher, params.root).items()}
    del teacher["teacher.vae"]  # everything stays in latent space
    inputs |= {**teacher, **({"distill": parse_fingerprint(params.crf)} if params.crf else {})}
    options = params.model_dump(include=set(SearchOptions.model_fields))
    options["size"] = read_shape(params.teacher).side(params.size)
    return Target(Identity("search", 2, inputs, options), ROUNDS)


def count_rounds(url: str) -> int:
    """Count the rounds that an unfinished search has done."""
    return sum(locations.exists(locations.join(url, f"round-{number}.json")) for number in range(1, ROUNDS + 1))


def check(params: SearchParameters) -> None:
    """Raise UserError for trajectories of another teacher, and for sets of captions that are too few or share one."""
    check_trajectories(params)
    check_calibration(params)
    check_disjoint(params)


def compute(params: SearchParameters, work: Work, progress: Progress) -> None:
    from flows.searching.rounds import run_rounds
    from flows.searching.writing import write_search

    progress.start(work.done, work.total, SEARCH.unit)
    with ray_session():
        result = run_rounds(params, work, progress)
    write_search(params, work, result)


SEARCH = Stage("search", identify, compute, unit="rounds", count_done=count_rounds, check=check)


@flow(name="search")
def search(params: SearchParameters) -> StageResult:
    """Search the fastest schedules for a teacher: dynamic programming, a race of candidates, the front, one test."""
    result = run_as_flow(SEARCH, params, params.root, params.teacher)
    publish_search(result.url)
    return make_prefect_state(result)  # type: ignore[return-value]
