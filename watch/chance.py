"""Chance: how probable a count is at most, when nothing but chance is at work.

Every function gives the natural logarithm of an upper bound of P(X >= count), so that what is too small for a float
still compares. The bound is the first term times a geometric series, as each tail's ratio of terms falls.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from math import inf, lgamma, log, log1p


def bound_binomial(trials: int, probability: float, count: int) -> float:
    """Of `trials`, each with this probability; or with different ones, of which it is the mean (Hoeffding 1956)."""
    if count > trials:
        return -inf
    if probability >= 1 or count < trials * probability + 1:  # nearer to the mean it holds for equal ones alone
        return 0.0
    if probability <= 0:
        return -inf
    first = _log_choose(trials, count) + count * log(probability) + (trials - count) * log1p(-probability)
    return _sum(first, (trials - count) * probability / ((count + 1) * (1 - probability)))


def bound_poisson(mean: float, count: int) -> float:
    """Of events that come one by one, `mean` of them on average."""
    if count <= mean:
        return 0.0
    if mean <= 0:
        return -inf
    return _sum(count * log(mean) - mean - lgamma(count + 1), mean / (count + 1))


def bound_hypergeometric(population: int, marked: int, drawn: int, count: int) -> float:
    """Of the marked ones among those drawn, without putting them back."""
    if count > min(marked, drawn):
        return -inf
    if count * population <= marked * drawn:
        return 0.0
    first = (
        _log_choose(marked, count) + _log_choose(population - marked, drawn - count) - _log_choose(population, drawn)
    )
    left = (count + 1) * (population - marked - drawn + count + 1)
    return _sum(first, (marked - count) * (drawn - count) / left)


def find_least(bound: Callable[[int], float], limit: float, most: int) -> int:
    """The smallest count from 1 whose bound is at most `limit`; `most` + 1 when there is none."""
    return 1 + bisect.bisect_left(range(1, most + 1), True, key=lambda count: bound(count) <= limit)


def _log_choose(number: int, count: int) -> float:
    if not 0 <= count <= number:
        return -inf
    return lgamma(number + 1) - lgamma(count + 1) - lgamma(number - count + 1)


def _sum(first: float, ratio: float) -> float:
    return min(0.0, first - log1p(-ratio)) if ratio < 1 else 0.0
