"""The errors of crf. Each says what was expected, what was found and what to do next, in one line."""

from typing import Any


class CRFError(ValueError):
    """Invalid input, described in one line: "expected X, found Y; next step". All errors of ``crf`` derive from it.

    Errors keep their class and message when they are pickled, so a worker's error reaches the driver.

    Args:
        expected: What the call needs, e.g. "a CRF of this teacher".
        found: What it got instead.
        next_step: What the caller can do about it, as an instruction.
    """

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self._parts = expected, found, next_step

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._parts


class TeacherError(CRFError):
    """The teacher is missing, incomplete or of an unsupported kind, or does not match the CRF or the image size."""


class ScheduleError(CRFError):
    """The schedule cannot be parsed or cannot be run."""


class ConfigError(CRFError):
    """The options of a CRF contradict each other."""


class InputError(CRFError):
    """An argument of a model or a pipeline has the wrong shape or number of entries, or is missing."""
