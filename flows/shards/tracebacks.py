"""The tracebacks of a failed job, which would keep its actors alive."""


def drop_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an error that Ray raised, and of what led to it.

    Their frames hold on to the failed job, and with it to its actors and their GPUs, which the next job would wait for.
    The worker's own stack trace is in the error's text.
    """
    seen: list[BaseException] = []
    left = [error]
    while left:
        following = left.pop()
        if any(following is other for other in seen):
            continue
        seen.append(following)
        following.__traceback__ = None
        others = (following.__cause__, following.__context__, getattr(following, "cause", None))
        left += [other for other in others if isinstance(other, BaseException)]
