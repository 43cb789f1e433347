"""Start a temporary Prefect server for a driver without one. It ends with the driver, even after kill -9.

Prefect's own temporary server blocks the driver while it starts, and stays running if the driver is killed.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

# By default a request is tried for one minute: a run that ends while its server is away for two would be Failed.
RETRIES = ("PREFECT_CLIENT_MAX_RETRIES", "8")
WATCH_SECONDS, SHUTDOWN_SECONDS = 0.5, 10
# The settings of Prefect's own temporary server: no UI, and only the services that a driver needs.
ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


def start_temporary_server() -> None:
    """Start a Prefect server for this process unless its settings name one (PREFECT_API_URL).

    Returns at once: requests wait in the socket's queue until the server answers, so the driver
    can start Ray meanwhile. Of a server that is named, each request is tried for eight minutes.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    os.environ.setdefault(*RETRIES)
    refresh_global_settings_context()
    settings = get_current_settings()
    if settings.api.url:
        return
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        descriptor, port = listener.fileno(), listener.getsockname()[1]
        subprocess.Popen(
            [sys.executable, "-m", "flows.prefect_server", str(descriptor), str(os.getpid())],
            env={**os.environ, **settings.to_environment_variables(exclude_unset=True), **ENVIRONMENT},
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C must not end it: the driver still reports the run's final state
        )
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()


def serve(descriptor: int, driver: int) -> None:
    """Run the server until the driver ends.

    ``descriptor``: of the listening socket. ``driver``: process id of the parent.
    """
    import uvicorn

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    threading.Thread(target=end_with_driver, args=(server, driver), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])


def end_with_driver(server: "uvicorn.Server", driver: int) -> None:
    """Wait until the driver ends, then stop the server; kill it if it does not stop in time."""
    while os.getppid() == driver:
        time.sleep(WATCH_SECONDS)
    server.should_exit = True
    time.sleep(SHUTDOWN_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
