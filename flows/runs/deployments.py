"""Runs of deployments, which nobody watches in a terminal and which share their machines with others."""

import os


def is_of_deployment() -> bool:
    """Tell whether this process is a deployment's run: Prefect's worker sets the variable for those it starts."""
    return "PREFECT__FLOW_RUN_ID" in os.environ
