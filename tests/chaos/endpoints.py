"""Stores made and read through a proxy that answers one request in ten badly; then how long one waits for no answer.

``python -m tests.chaos.endpoints``: waits with the clients' settings as they come; prints JSON. Some 15 minutes.
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import ClientTimeout

from storage import ArraySpec, LatentStore
from storage.errors import EndpointError
from storage.store.index import index_tables
from storage.store.verification import verify
from tests.support import servers
from tests.support.faulty_proxy import FAULTS, FaultyProxy
from tests.support.stores import make_store, read_objects, read_store

ROW = {"id": "0", "caption": "", "uri": "", "sha256": ""}
PATIENCE: dict[str, dict[str, Any]] = {  # with faults in it a run should not take an hour
    "gs": {"requests_timeout": ClientTimeout(sock_connect=1, sock_read=1)},
    "s3": {"config_kwargs": {"read_timeout": 1}},
}
OPTIONS = {"gs": servers.gs_options, "s3": servers.s3_options}


def main() -> int:
    figures: dict[str, object] = {}
    for scheme in sys.argv[1:] or OPTIONS:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            port, seen = servers.free_port(), servers.free_port()
            Path(folder, "bucket").mkdir()
            address = f"http://127.0.0.1:{port}"
            process = (
                servers.start_gcs(Path(folder), port, f"http://127.0.0.1:{seen}")
                if scheme == "gs"
                else servers.start_s3(port)
            )
            stack.callback(servers.stop, process)
            proxy = stack.enter_context(FaultyProxy(address, seen, seed=0, share=0))
            stack.enter_context(servers.options(scheme, **OPTIONS[scheme](proxy.address)))
            tables = index_tables([ROW], 1)
            arrays = {"latents": ArraySpec.latent(64, 64, 8)}
            store = LatentStore.create(f"{scheme}://bucket/store", arrays, tables, shard_rows=1, provenance={})
            figures[f"{scheme}, a tenth bad"] = disturbed_stores(scheme, proxy)
            for mode in ("refuse", "hang"):
                proxy.mode = mode
                figures[f"{scheme} {mode}"] = wait(store)
        with servers.options(scheme, **OPTIONS[scheme](f"http://127.0.0.1:{servers.free_port()}")):
            figures[f"{scheme} nothing there"] = wait(store)
        print(json.dumps(figures), flush=True)
    return 0


def disturbed_stores(scheme: str, proxy: FaultyProxy, count: int = 5) -> dict[str, int]:
    """-> how many ended in the bytes of an undisturbed one, the errors that a user saw on the way, the bad answers."""
    with tempfile.TemporaryDirectory() as folder, servers.options(scheme, **PATIENCE[scheme]):
        expected, errors, same = read_objects(make_store(folder)), 0, 0
        for number in range(count):
            proxy.share, root = 0.1, f"{scheme}://bucket/{number}"
            while proxy.share:
                try:
                    url = make_store(root)
                    read_store(url)
                    proxy.share = 0
                except EndpointError:
                    errors += 1
            same += read_objects(url) == expected and not verify(url)
    return {"stores": count, "same bytes": same, "errors": errors, **{f: proxy.met[f] for f in FAULTS}}


def wait(store: LatentStore) -> float:
    """Seconds until a write is given up."""
    latents, begun = np.ones((1, 64, 64, 8), np.float16), time.monotonic()
    try:
        store.write_shard(
            0, {"latents": latents}, valid=np.ones(1, bool), seed=np.ones(1, np.uint64), rejected={}, timing={}
        )
    except EndpointError as error:
        print(error, file=sys.stderr, flush=True)
        return round(time.monotonic() - begun, 1)
    raise AssertionError("was written")


if __name__ == "__main__":
    sys.exit(main())
