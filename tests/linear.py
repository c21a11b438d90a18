"""Whether something costs no more than its text is long: ratios of times of this machine, never times."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 1_000_000
# eight times the text takes eight times as long when linear, sixty-four times when quadratic
FACTOR = 32
# what is faster than this is not measured well, and not worth it: a quadratic pattern takes minutes
NOTHING_SECONDS = 0.2


def grows_linearly(work: Callable[[str], object], start: str, piece: str, longest: int = LONG) -> bool:
    """Whether `work` on a text of `longest` letters, of `start` and many of `piece`, is not slower than its length."""

    def measure(length: int) -> float:
        text = start + piece * (length // len(piece)) + "!"
        begun = time.process_time()
        work(text)
        return time.process_time() - begun

    short = measure(longest // 8)
    # what takes seconds for an eighth would take minutes for the whole
    if short > NOTHING_SECONDS * FACTOR:
        return False
    return measure(longest) < max(short, NOTHING_SECONDS) * FACTOR
