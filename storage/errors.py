"""The errors of storage. Each says what was expected, what was found and what to do next, in one line."""

from typing import Any


class UserError(Exception):
    """An error that the user can correct. All errors of ``storage`` derive from it.

    The message reads "expected X, found Y; next step". The command line prints it in one line and exits with code 2.
    Errors keep their class and parts when they are pickled, so a worker's error reaches the driver.

    Args:
        expected: What the call needs, e.g. "a latent store".
        found: What is there instead, e.g. "none at gs://bucket/runs".
        next_step: What the user can do, as an instruction.

    Example:
        >>> raise UserError("captions", "none in captions.txt", "check that the file has rows with text in them")
    """

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(f"expected {expected}, found {found}; {next_step}")
        self.expected, self.found, self.next_step = expected, found, next_step

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the three parts: subclasses have other constructors."""
        return _rebuild, (type(self), self.expected, self.found, self.next_step)


def _rebuild(kind: type[UserError], expected: str, found: str, next_step: str) -> UserError:
    error = kind.__new__(kind)
    UserError.__init__(error, expected, found, next_step)
    return error


class UnsealedStoreError(UserError):
    """The store is not sealed: shards are missing, or the last step of its stage has not run.

    Run its stage again to finish it, or pass ``allow_unsealed=True`` to ``LatentStore.open``.
    """


class DamagedStoreError(UserError):
    """An object of a store does not hold the bytes that were written: it was changed, truncated or removed.

    ``latentcrf verify URL`` lists all damaged objects. ``latentcrf verify URL --repair`` removes them, so that the
    next run of the stage writes them again.

    Args:
        object_url: URL of the damaged object.
    """

    def __init__(self, object_url: str) -> None:
        found = f"something else at {object_url}"
        super().__init__("what was written", found, "run `latentcrf verify` on its store")


class NewerVersionError(UserError):
    """A newer version of latentcrf wrote this output, in a format that this version cannot read.

    Args:
        expected: The newest format that this version can read, e.g. "a latent store of layout 2 or older".
        found: The format that was found, and where, e.g. "3 at gs://bucket/runs/encode/0123456789abcdef".
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found, "update latentcrf")


class EndpointError(UserError):
    """An object store or a disk does not answer, or denies the request.

    All committed shards are kept: run the same command again to continue from there.

    Args:
        url: URL that was read or written.
        found: The client's error, in one line.
    """

    def __init__(self, url: str, found: str) -> None:
        super().__init__(
            f"an answer from {url}",
            found,
            "check that it exists and that you may access it, then run the same command again to continue",
        )
