import logging

from flows.workers.kept_warnings import LONGEST, MOST_KEPT, KeptWarnings


def test_the_newest_are_kept_until_they_are_taken() -> None:
    kept, logger = KeptWarnings(), logging.Logger("library")
    logger.addHandler(kept)
    logger.info("all is well")
    for number in range(3 * MOST_KEPT):
        logger.warning("row %d of many", number // 2)
    logger.error("x" * 10 * LONGEST)
    taken = kept.take()
    assert taken[-2:] == [f"row {3 * MOST_KEPT // 2 - 1} of many", "x" * LONGEST]
    assert len(taken) == len(set(taken)) == MOST_KEPT // 2 + 1
    assert kept.take() == []
