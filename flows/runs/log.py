"""Where a run's log is."""

import logging

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

RunLogger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def find_run_logger() -> RunLogger:
    """Return the flow run's logger; outside of a flow run, the one whose warnings are printed on the terminal."""
    return get_run_logger() if FlowRunContext.get() else logging.getLogger("latentcrf")
