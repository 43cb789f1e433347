"""A local Prefect server and worker with a deployment of every stage, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from storage import UserError

DEPLOYMENTS = Path(__file__).parents[2] / "deploy/prefect.yaml"
POOL = "latentcrf"
START_SECONDS = 90


def serve(port: int) -> None:
    """Blocks; ends the server and the worker, by their process ids, when it is interrupted."""
    address = f"http://127.0.0.1:{port}"
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    if answers(address):
        raise UserError("a free port", f"a server at {address}", "stop it, or choose another with --port")
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where the shell had them ignored
        signal.signal(ending, signal.default_int_handler)
    server = prefect("server", "start", "--host", "127.0.0.1", "--port", str(port))
    processes = [server]
    try:
        wait_until_up(address, server)
        for command in (
            ("work-pool", "create", POOL, "--type", "process", "--overwrite"),
            ("--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)),
        ):
            subprocess.run([sys.executable, "-m", "prefect", *command], check=True, cwd=DEPLOYMENTS.parent.parent)
        processes.append(prefect("worker", "start", "--pool", POOL))
        print(f"latentcrf: the Prefect UI is at {address} (Ctrl-C ends it)", flush=True)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)


def prefect(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "prefect", *arguments], cwd=DEPLOYMENTS.parent.parent)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(address):
        if server.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"a Prefect server at {address}", "none that answers", "see its messages above")
        time.sleep(0.5)
