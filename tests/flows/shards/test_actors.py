import pytest

from flows.parameters.running import Resources
from flows.shards.actors import Actors

H100 = {"ray.io/accelerator-type": "H100"}


@pytest.mark.parametrize(
    ("asked", "alive", "chosen"),
    [
        ({}, {"CPU": 8}, Actors(8, "cpu", 8)),
        ({}, {"CPU": 8, "GPU": 2}, Actors(2, "cuda", 8, 1)),
        ({"device": "cpu", "actors": 3}, {"CPU": 8, "GPU": 2}, Actors(3, "cpu", 8)),
        ({"gpus_per_actor": "1/4", "decoders": 3}, {"CPU": 8, "GPU": 2}, Actors(8, "cuda", 24, 0.25)),
        ({"device": "cuda", "actors": 16}, {"CPU": 8, "GPU": 2}, Actors(16, "cuda", 16, 1)),
        # A cluster that is scaled to zero: its head has neither.
        ({}, {"memory": 1e9}, Actors(1, "cpu", 1)),
        ({"device": "cuda", "actors": 16}, {"memory": 1e9}, Actors(16, "cuda", 16, 1)),
        ({"accelerator": "H100", "actors": 4}, {"memory": 1e9}, Actors(4, "cuda", 4, 1, H100)),
    ],
)
def test_what_is_asked_for_does_not_depend_on_what_is_there(
    asked: dict[str, str | int], alive: dict[str, float], chosen: Actors
) -> None:
    assert Actors.choose(Resources.model_validate(asked), alive) == chosen
