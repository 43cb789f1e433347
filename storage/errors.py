"""Errors meant for the person who made the call: what was expected, what was found, what to do."""

from typing import Any


class UserError(Exception):
    """Wrong input. The command line prints it as one line and exits with code 2."""

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self._parts = expected, found, next_step

    def __reduce__(self) -> tuple[Any, ...]:
        """So that a worker's error reaches the driver."""
        return _remade, (type(self), self._parts)


def _remade(kind: type[UserError], parts: tuple[str, str, str]) -> UserError:
    error = kind.__new__(kind)
    UserError.__init__(error, *parts)
    return error


class UnsealedStoreError(UserError):
    """The store is not finished, so what it holds may be incomplete."""


class DamagedStoreError(UserError):
    """An object of a store is not what was written."""

    def __init__(self, object_url: str) -> None:
        super().__init__(
            "what was written", f"something else at {object_url}", "see what `latentcrf verify` says of its store"
        )


class EndpointError(UserError):
    """An object store, or a disk, does not answer or refuses."""

    def __init__(self, url: str, found: str) -> None:
        super().__init__(
            f"an answer from {url}",
            found,
            "check that it is there, reachable and yours to use; the same command then goes on from what is committed",
        )
