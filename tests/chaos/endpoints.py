"""How long a command waits for a server that hangs, refuses, or is not there, before it says so.

``python -m tests.chaos.endpoints``: with the clients' settings as they come; prints JSON. Some 10 minutes.
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from storage import ArraySpec, LatentStore
from storage.errors import EndpointError
from storage.index import index_tables
from tests import servers
from tests.faulty_proxy import FaultyProxy

ROW = {"id": "0", "caption": "", "uri": "", "sha256": ""}
OPTIONS = {"gs": servers.gs_options, "s3": servers.s3_options}


def main() -> int:
    waits = {}
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
            for mode in ("refuse", "hang"):
                proxy.mode = mode
                waits[f"{scheme} {mode}"] = wait(store)
        with servers.options(scheme, **OPTIONS[scheme](f"http://127.0.0.1:{servers.free_port()}")):
            waits[f"{scheme} nothing there"] = wait(store)
        print(json.dumps(waits), flush=True)
    return 0


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
