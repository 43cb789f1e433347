"""A run finds each stage's target once, also through the subflows of a real Prefect server."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from pydantic import BaseModel

from flows.stage import Stage, Target
from flows.targets import find_once
from storage import Identity


class Parameters(BaseModel):
    name: str


FOUND: list[str] = []


def find(params: Parameters) -> Target:
    FOUND.append(params.name)
    return Target(Identity("counted", 1, {}, {"name": params.name}), 1)


def compute(*_: Any) -> None:
    raise AssertionError


COUNTED = Stage("counted", find, compute)


@flow
def subflow(params: Parameters) -> str:
    return COUNTED.identify(params).identity.fingerprint


@flow
def whole(params: list[Parameters]) -> list[str]:
    with find_once():
        assert [COUNTED.identify(each).total for each in params] == [1] * len(params)
        return [subflow(each) for each in params]


@pytest.fixture
def server_without_them(prefect_server: None) -> Iterator[None]:
    """Other tests look at all flows of the server."""
    yield
    with get_client(sync_client=True) as client:
        for name in ("subflow", "whole"):
            client.delete_flow(client.read_flow_by_name(name).id)


@pytest.mark.usefixtures("server_without_them")
def test_a_subflow_takes_what_its_run_has_found() -> None:
    FOUND.clear()
    params = [Parameters(name="a"), Parameters(name="b")]
    with find_once():
        first = whole(params)
    assert (FOUND, len(set(first))) == (["a", "b"], 2)
    assert whole(params) == first
    assert FOUND == ["a", "b"] * 2, "another run looks again"
    assert subflow(params[0]) == first[0]
    assert FOUND == ["a", "b"] * 2 + ["a"], "and a flow alone as well"
