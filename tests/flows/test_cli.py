import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import main
from tests.support.training_jobs import write_training_store


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["latentcrf", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode", "--images", "{tmp}/missing", "--teacher", "{teacher}"], "an image folder"),
        (["encode", "--images", "{tmp}", "--teacher", "{teacher}"], "expected images"),
        (["teach", "--captions", "{tmp}/missing.txt", "--teacher", "{teacher}"], "a caption file"),
        (["teach", "--captions", "{tmp}/empty.txt", "--teacher", "{teacher}"], "expected captions"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{tmp}"], "a teacher in diffusers format"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{teacher}", "--gidance", "3"], "--gidance"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{teacher}", "--limit", "no"], "limit"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{teacher}", "--limit", "0"], "limit"),
        (["teach", "--teacher", "{teacher}"], "--captions"),
        (["encode", "--images", "{tmp}", "--teacher", "{teacher}", "--size", "33"], "8 divides"),
        (["run", "{tmp}/missing.yaml"], "a YAML file"),
        (["plan", "{tmp}/misspelt.yaml"], "teech"),
        (["generate", "--prompt", "x", "--root", "{tmp}"], "a distilled CRF"),
        (["generate", "--prompt", "x", "--crf", "{tmp}", "--teacher", "{teacher}"], "a CRF"),
        (["train", "--latents", "x", "--teacher", "{teacher}", "--crf.normalizer", "exact"], "use normalizer='batch'"),
        (["train", "--latents", "x", "--teacher", "{other}"], "found KandinskyPipeline"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{teacher}", "--lead", "40/31"], "40/31"),
        (["teach", "--captions", "{tmp}/full.txt", "--teacher", "{teacher}", "--tail", "100"], "use 101, the nearest"),
        (["frobnicate"], "frobnicate"),
        (
            ["train", "--latents", "{store}", "--teacher", "{teacher}", "--root", "{tmp}"],
            "a natural store, made by encode",
        ),
        (["distill", "--pairs", "{store}", "--initial", "{other}", "--root", "{tmp}"], "teach again with"),
        (["generate", "--prompt", "x", "--output", "x.txt"], "ends in .png"),
        (["generate", "--prompt", "x", "--crf", "{other}", "--teacher", "{teacher}"], "a CRF with"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    tiny_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "full.txt").write_text("a cat\n")
    (tmp_path / "misspelt.yaml").write_text(
        "{teacher: t, images: i, captions: c, heldout_images: i, heldout_captions: c, teech: {limit: 3}}"
    )
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text('{"_class_name": "KandinskyPipeline"}')
    store = write_training_store(str(tmp_path / "taught"), ["latents_of_another_name"])
    (other / "config.json").write_text('{"crf_input": "state"}')
    places = {"tmp": tmp_path, "teacher": tiny_teacher, "other": other, "store": store}
    filled = [argument.format(**places) for argument in arguments]
    assert run(filled, monkeypatch) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("latentcrf: ")
    assert words in line
    assert not (tmp_path / "train").exists()
    assert not (tmp_path / "distill").exists()


def test_from_the_shell(tmp_path: Path, tiny_teacher: Path) -> None:
    command = Path(sys.executable).with_name("latentcrf")
    arguments = ["encode", "--images", str(tmp_path / "no"), "--teacher", str(tiny_teacher)]
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_plan_of_the_demo_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", "demo", "--root", str(tmp_path), "--json"], monkeypatch) == 0
    stages = json.loads(capsys.readouterr().out.splitlines()[-1])["stages"]
    assert [stage["stage"] for stage in stages] == ["encode", "teach", "train", "distill", "evaluate"]
    assert all({"stage", "state", "reason", "done", "total"} <= set(stage) for stage in stages)
    assert {stage["state"] for stage in stages} == {"missing"}


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "plan",
        "encode",
        "teach",
        "train",
        "distill",
        "evaluate",
        "generate",
        "ui",
        "ls",
        "show",
        "verify",
        "gc",
        "reproduce",
        "compare",
        "search",
        "measure",
    ],
)
def test_every_command_has_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"], monkeypatch) == 0
    assert "Usage: latentcrf" in capsys.readouterr().out
