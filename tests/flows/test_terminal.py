"""A real run in a real process: what comes on its terminal, and what is left of it after kill -9."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

COMMAND = Path(sys.executable).with_name("latentcrf")
BAR = re.compile(r" *(encode|teach|train|distill|evaluate): +\d+%\|.*\| \d+/\d+ \[.*\]\s*")


def environment(home: Path) -> dict[str, str]:
    """No server is named, so the run starts its own Prefect and its own Ray."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "RAY_ADDRESS")}
    return {**kept, "PREFECT_HOME": str(home), "COLUMNS": "120"}


@pytest.mark.timeout(400)
def test_a_run_prints_bars_a_table_and_one_line_per_stage(tmp_path: Path, tiny_teacher: Path, drawings: Path) -> None:
    (tmp_path / "captions.txt").write_text("".join(f"a drawing of thing {number}\n" for number in range(4)))
    training = {"steps": 2, "batch_size": 2, "lr_warmup_steps": 1, "workers": 0}
    config = {
        "teacher": str(tiny_teacher),
        "images": str(drawings),
        "captions": "captions.txt",
        "heldout_images": str(drawings),
        "heldout_captions": "captions.txt",
        "root": str(tmp_path / "runs"),
        "encode": {"limit": 4},
        "train": {**training, "crf": {"hidden": 4, "filters": 4}},
        "distill": training,
        "evaluate": {"limit": 2, "noises": 2},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [COMMAND, "run", str(tmp_path / "tiny.yaml")],
        env=environment(tmp_path / "prefect"),
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr
    shown = [line for line in re.split(r"[\r\n]", done.stderr) if line.strip()]
    assert [line for line in shown if not BAR.fullmatch(line)] == []
    title, *table, features = done.stdout.splitlines()[:-6]
    assert "2 held-out captions, 4 samples per row" in title
    assert all(re.fullmatch(r"[┏┡│└].*[┓┩│┘]|┃.*┃", line) for line in table)
    assert features.startswith("Distances: ")
    ends = [line.split()[:2] for line in done.stdout.splitlines()[-6:]]
    stages = ["encode", "teach", "train", "distill", "evaluate"]
    assert ends[:5] == [[f"{stage}:", "computed"] for stage in stages]
    assert ends[5][0] == "report:"


@pytest.mark.timeout(280)
def test_a_killed_run_leaves_no_process(tmp_path: Path, tiny_teacher: Path, captions: Path) -> None:
    """Neither its Prefect server nor any process of Ray."""
    arguments = ["teach", "--captions", str(captions), "--teacher", str(tiny_teacher), "--root", str(tmp_path)]
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen([COMMAND, *arguments], env=environment(tmp_path / "prefect"), stderr=log)
    try:
        started = wait_for_worker(driver, tmp_path / "log")
    finally:
        driver.kill()
        driver.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert [process.pid for process in alive] == []


def wait_for_worker(driver: "subprocess.Popen[bytes]", log: Path) -> list[psutil.Process]:
    """The driver's processes, once its Prefect server and a worker of its Ray are among them."""
    deadline = time.monotonic() + 150
    while True:
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        started = psutil.Process(driver.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            lines = [" ".join(process.cmdline()) for process in started]
            if any("flows.prefect_server" in line for line in lines) and any("ray::" in line for line in lines):
                return started
        time.sleep(0.2)
