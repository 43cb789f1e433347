"""Name runs in Prefect by what they make."""

import logging

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext


def name_run(flow: str, name: str) -> None:
    """Name the run, if it is one of the flow ``flow``. Without a server the name stays: it is not worth a run."""
    context = FlowRunContext.get()
    if context is None or context.flow is None or context.flow_run is None or context.flow.name != flow:
        return
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(context.flow_run.id, name)
    except Exception as error:  # whatever it is
        logging.getLogger("latentcrf").debug("the run keeps its name: %r", error)
