"""Errors meant for the person who made the call: what was expected, what was found, what to do next."""

from typing import Any


class CRFError(ValueError):
    """The root of this package's errors: wrong input, told in one line.

    ``expected``, ``found`` and ``next_step`` make the message "expected …, found …; …". An error travels
    between processes unchanged.
    """

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self._parts: tuple[str, ...] = expected, found, next_step

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._parts


class TeacherError(CRFError):
    """There is no teacher, or none that fits."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)
        self._parts = (message,)


class ScheduleError(CRFError):
    """The schedule cannot be read."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)
        self._parts = (message,)
