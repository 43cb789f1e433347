"""A server that answers badly, hangs, or is gone: the same bytes, or one clear error soon and a resume that works.

Most of what these tests take is the clients' pauses; ``make chaos`` has the same with a tenth of all answers bad.
"""

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from aiohttp import ClientTimeout

from storage import locations
from storage.endpoints import describe_error
from storage.errors import DamagedStoreError, EndpointError, NewerVersionError, UserError
from storage.store.verification import verify
from tests.support import servers
from tests.support.faulty_proxy import FaultyProxy
from tests.support.stores import make_store, read_objects, read_store

SECONDS = 1.0  # the clients' patience here, far above what an answer takes; by default it is 20 s and 10 s


@pytest.fixture
def s3_proxy(s3_address: str) -> Iterator[FaultyProxy]:
    with (
        FaultyProxy(s3_address, servers.free_port(), seed=0, share=0.03) as proxy,
        servers.options("s3", **servers.s3_options(proxy.address), config_kwargs={"read_timeout": SECONDS}),
    ):
        yield proxy


def disturbed(proxy: FaultyProxy, root: str) -> int:
    """Make and read a store; where an error ends it, the same again. -> how often it ended with one."""
    for errors in range(5):
        try:
            url = make_store(root)
            assert verify(url) == []
            read_store(url)
            return errors
        except EndpointError:
            continue
    raise AssertionError(f"ended with an error each time; {proxy.met}")


def test_s3_with_bad_answers(s3_proxy: FaultyProxy, tmp_path: Path) -> None:
    root = f"s3://bucket/{tmp_path.name}"
    disturbed(s3_proxy, root)
    assert sum(s3_proxy.met.values()) - s3_proxy.met["none"] > 1
    s3_proxy.share = 0
    assert read_objects(make_store(root)) == read_objects(make_store(tmp_path))


def test_gcs_with_bad_answers_and_a_server_that_is_killed(tmp_path: Path) -> None:
    port, seen = servers.free_port(), servers.free_port()
    (tmp_path / "served/bucket").mkdir(parents=True)
    process = servers.start_gcs(tmp_path / "served", port, f"http://127.0.0.1:{seen}")
    restarted = []

    def restart() -> None:
        process.kill()
        process.wait()
        time.sleep(1)
        restarted.append(servers.start_gcs(tmp_path / "served", port, f"http://127.0.0.1:{seen}"))

    patience = {"requests_timeout": ClientTimeout(sock_connect=SECONDS, sock_read=SECONDS)}
    try:
        with (
            FaultyProxy(f"http://127.0.0.1:{port}", seen, seed=1, share=0.02) as proxy,
            servers.options("gs", **servers.gs_options(proxy.address), **patience),
        ):
            timer = Timer(0.3, restart)
            timer.start()
            disturbed(proxy, "gs://bucket/root")
            timer.join()
            assert restarted
            proxy.share = 0
            assert read_objects(make_store("gs://bucket/root")) == read_objects(make_store(tmp_path / "here"))
    finally:
        for started in [process, *restarted]:
            started.kill()
            started.wait()


@pytest.mark.parametrize("mode", ["hang", "refuse"])
def test_gone_in_the_middle_is_one_error_and_the_same_again_finishes(
    mode: str, s3_proxy: FaultyProxy, tmp_path: Path, latentcrf: Callable[..., Any]
) -> None:
    s3_proxy.share = 0
    root = f"s3://bucket/{tmp_path.name}"
    url = make_store(root)
    for path in ("manifest.json", "commits/00002.json", "latents/c/2/0/0/0"):
        locations.remove(f"{url}/{path}")
    s3_proxy.mode = mode
    with servers.options("s3", config_kwargs={"read_timeout": 0.2, "retries": {"total_max_attempts": 1}}):
        with pytest.raises(EndpointError, match=r"expected an answer from s3://.*; check that it exists"):
            make_store(root)
        code, out, err = latentcrf("verify", url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("latentcrf: expected an answer from s3://")
    s3_proxy.mode = "pass"
    assert read_objects(make_store(root)) == read_objects(make_store(tmp_path))


def test_errors_keep_their_kind_on_their_way_from_a_worker() -> None:
    whole = UserError("a", "b", "c"), DamagedStoreError("gs://b/x"), EndpointError("gs://b", "TimeoutError")
    for error in (*whole, NewerVersionError("a", "b")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


def test_an_error_is_described_in_one_line() -> None:
    assert describe_error(TimeoutError()) == "TimeoutError"
    assert describe_error(ConnectionResetError("reset\nby peer")) == "ConnectionResetError: reset by peer"


def test_a_disk_that_refuses_is_the_same_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EndpointError, match=r"NotADirectoryError|FileExistsError"):
        locations.write_bytes(f"{tmp_path}/file/object", b"")
