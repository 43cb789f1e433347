"""Users' mistakes arrive as one line, wherever they were raised; ours keep their stack traces."""

from itertools import pairwise
from typing import Any

import pytest

from crf.errors import CRFError
from flows.errors import find_user_error
from flows.shards.model import Model, ModelSpec
from flows.shards.tracebacks import drop_tracebacks
from storage.errors import DamagedStoreError, UserError

PARTS = ("a teacher", "none at gs://b/x", "save one")
MESSAGE = "expected a teacher, found none at gs://b/x; save one"


def chained(*errors: Exception) -> BaseException:
    for effect, cause in pairwise(errors):
        effect.__cause__ = cause
    return errors[0]


def test_a_users_mistake_is_found_among_the_causes() -> None:
    damaged = DamagedStoreError("gs://b/x")
    job = RuntimeError("the job failed")
    assert find_user_error(chained(job, damaged, ValueError("checksum"))) == str(damaged)
    assert find_user_error(chained(job, CRFError("a teacher", "none at\ngs://b/x", "save one"))) == MESSAGE
    told = find_user_error(chained(job, ConnectionResetError("reset\nby peer")))
    assert "ConnectionResetError: reset by peer" in str(told)
    assert "latentcrf[s3]" in str(find_user_error(ImportError("Install s3fs to access S3")))


def test_our_own_mistakes_are_not_the_users() -> None:
    assert find_user_error(chained(RuntimeError("a mistake of ours"), KeyError("x"))) is None
    assert find_user_error(ValueError("a shape of ours")) is None


class Failing:
    """A model that finds no teacher."""

    def __init__(self, at: str, **_: Any) -> None:
        self.at = at
        self.fail("constructor")

    def __call__(self, block: dict[str, Any], report_rows: Any) -> dict[str, Any]:
        self.fail("call")
        return block

    def fail(self, at: str) -> None:
        if at == self.at:
            raise CRFError(*PARTS)


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize("error", [CRFError(*PARTS), UserError(*PARTS)])
def test_from_a_ray_actor(error: Exception) -> None:
    import ray

    class Actor:
        def fail(self) -> None:
            raise error

    with pytest.raises(Exception, match="found none") as caught:
        ray.get(ray.remote(num_cpus=0)(Actor).remote().fail.remote())
    assert "\n" in str(caught.value)
    assert find_user_error(caught.value) == MESSAGE


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize("at", ["constructor", "call"])
def test_from_the_model_of_a_ray_data_job(at: str) -> None:
    import ray.data

    from flows.ray_session import ray_session
    from flows.workers.collecting import collect_reports

    with ray_session(), collect_reports(print) as reporter:
        dataset = ray.data.from_items([{"row": 0}]).map_batches(
            Model,
            fn_constructor_kwargs={
                "spec": ModelSpec("tests.flows.test_errors:Failing", {"at": at}),
                "device": "cpu",
                "threads": 1,
                "reporter": reporter,
            },
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0.5,
        )
        with pytest.raises(Exception, match="found none") as caught:
            list(dataset.iter_rows())
    told = find_user_error(caught.value)
    drop_tracebacks(caught.value)
    del caught  # whose traceback would keep the actor
    assert told == MESSAGE
