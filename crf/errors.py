"""Errors meant for the person who made the call: what was expected, what was found, what to do next."""

from typing import Any


class CRFError(ValueError):
    """The root of this package's errors: wrong input, told in one line.

    ``expected``, ``found`` and ``next_step`` make the message "expected …, found …; …". An error travels
    between processes unchanged.
    """

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self._parts = expected, found, next_step

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._parts


class TeacherError(CRFError):
    """The teacher is missing, incomplete or of an unsupported kind, or does not fit what it is used with."""


class ScheduleError(CRFError):
    """The schedule cannot be parsed or cannot be run."""


class ConfigError(CRFError):
    """The options of a CRF contradict each other."""


class InputError(CRFError):
    """An argument of a model or a pipeline does not fit it."""
