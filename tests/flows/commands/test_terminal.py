"""What native code writes to stderr is held back, and shown if the command fails."""

import os
import sys

import pytest

from flows.commands.terminal import hold_native_stderr


def write_both() -> None:
    os.write(2, b"native\n")
    print("python", file=sys.stderr)


def test_native_lines_are_dropped_if_all_goes_well(capfd: pytest.CaptureFixture[str]) -> None:
    with hold_native_stderr():
        write_both()
    print("after", file=sys.stderr)
    os.write(2, b"native after\n")
    assert capfd.readouterr().err.splitlines() == ["python", "after", "native after"]


def test_native_lines_are_shown_with_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with hold_native_stderr():
            write_both()
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert capfd.readouterr().err.splitlines() == ["python", "native"]
