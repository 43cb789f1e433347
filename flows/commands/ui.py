"""Serve a local Prefect UI with a worker and a deployment of each stage, until Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from storage import UserError

DEPLOYMENTS = Path(__file__).parents[2] / "deploy/prefect.yaml"
POOL = "latentcrf"
START_SECONDS = 90
SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",  # by default a run may wait ten seconds for the worker to ask for it
    "PREFECT_SERVER_DATABASE_TIMEOUT": "120",  # by default ten: beside a busy Ray, clicks would end in HTTP 503
}


def serve(port: int) -> None:
    """Serve until interrupted, then end the server and the worker.

    Relative paths in a run's parameters are relative to the current directory.
    """
    address = f"http://127.0.0.1:{port}"
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    for runs in ("FLOW_RUNS", "TASK_RUNS"):  # in a run's log INFO counts, too, which the command line leaves out
        os.environ.setdefault(f"PREFECT_LOGGING_LOGGERS_PREFECT_{runs}_LEVEL", "INFO")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if is_up(address):
        raise UserError("a free port", f"a server at {address}", "stop it, or choose another with --port")
    for ending in (signal.SIGINT, signal.SIGTERM):  # even if the shell ignores them, as for background jobs
        signal.signal(ending, signal.default_int_handler)
    server = start_prefect("server", "start", "--host", "127.0.0.1", "--port", str(port))
    processes, folder = [server], tempfile.mkdtemp()
    try:
        wait_until_up(address, server)
        for command in (
            ("work-pool", "create", POOL, "--type", "process", "--overwrite"),
            ("--no-prompt", "deploy", "--prefect-file", str(fill_in_demo(Path(folder))), "--name", "*/local"),
        ):
            subprocess.run([sys.executable, "-m", "prefect", *command], check=True)
        processes.append(start_prefect("worker", "start", "--pool", POOL))
        print(f"latentcrf: the Prefect UI is at {address} (Ctrl-C ends it)", flush=True)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)
        shutil.rmtree(folder)


def fill_in_demo(folder: Path) -> Path:
    """Write the deployments to a file in ``folder``, those of the pipeline with the demo's values, and return its path.

    So the first click on Quick run works, wherever the command was started.
    """
    import yaml

    from flows.commands.configs import load_config

    content = yaml.safe_load(DEPLOYMENTS.read_text())
    demo = load_config("demo", "runs/demo").model_dump(mode="json", exclude_unset=True)
    for deployment in content["deployments"]:
        if deployment["entrypoint"].startswith("flows.pipeline:"):
            deployment["parameters"] = {"params": demo}
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def start_prefect(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "prefect", *arguments])


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_up(address):
        if server.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"a Prefect server at {address}", "none that answers", "see its messages above")
        time.sleep(0.5)
