"""Errors meant for the person who made the call: what was expected, what was found, what to do."""

from typing import Self


class UserError(Exception):
    """Wrong input. The command line prints it as one line and exits with code 2."""

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self._parts = expected, found, next_step

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        """So that a worker's error reaches the driver."""
        return type(self), self._parts


class UnsealedStoreError(UserError):
    """The store is not finished, so what it holds may be incomplete."""


class DamagedStoreError(UserError):
    """An object of a store is not what was written."""

    def __init__(self, object_url: str) -> None:
        super().__init__(
            "what was written", f"something else at {object_url}", "see what `latentcrf verify` says of its store"
        )
