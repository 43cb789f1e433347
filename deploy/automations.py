"""Automations of a Prefect server: runs whose process is lost are found, and started again where they stopped.

``python -m deploy.automations`` puts them on the server at PREFECT_API_URL; running it again updates them.
"""

from datetime import timedelta
from typing import Any

from prefect.automations import Automation, ChangeFlowRunState, EventTrigger, Posture
from prefect.client.schemas.objects import StateType

SILENCE = timedelta(minutes=9)  # three heartbeats, which every run sends each three minutes
STARTS = 3
RUN = "prefect.flow-run"
# A stage that found its output complete ends in the state Cached, whose event has that name. So what must start after
# a stage waits for both.
DONE = {f"{RUN}.Completed", f"{RUN}.Cached"}


def find_lost_runs(silence: timedelta = SILENCE) -> Automation:
    """Mark a run as crashed when it has sent nothing for so long: its process, or its machine, is gone."""
    ends = {f"{RUN}.{state}" for state in ("Failed", "Crashed", "Cancelled", "Cancelling", "AwaitingRetry", "Paused")}
    return Automation(
        name="latentcrf: lost runs are crashed",
        trigger=EventTrigger(
            after={f"{RUN}.heartbeat"},
            expect={f"{RUN}.heartbeat"} | DONE | ends,
            match={"prefect.resource.id": f"{RUN}.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Its process sends no heartbeats any more")],
    )


def start_crashed_runs_again(starts: int = STARTS) -> Automation:
    """Schedule a crashed run of a deployment again, with its own parameters, until it has started so often.

    It is the same run: its stages keep what was committed. Stages within a pipeline have no deployment, and start
    again with their pipeline.
    """
    return Automation(
        name="latentcrf: crashed runs start again",
        trigger=EventTrigger(
            expect={f"{RUN}.Crashed"},
            match={
                "prefect.resource.id": f"{RUN}.*",
                "prefect.run-count": [str(count) for count in range(1, starts)],
            },
            match_related={"prefect.resource.id": "prefect.deployment.*", "prefect.resource.role": "deployment"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="Started again")],
    )


def put(automation: Automation) -> None:
    """Create an automation, or update the one of this name."""
    try:
        found: Any = Automation.read(name=automation.name)  # the types of Prefect allow a coroutine, too
        automation.id = found.id
    except ValueError:
        automation.create()
    else:
        automation.update()


if __name__ == "__main__":
    for automation in (find_lost_runs(), start_crashed_runs_again()):
        put(automation)
        print(f"automation: {automation.name}")
