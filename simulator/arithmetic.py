"""Exact arithmetic of the truth: money as whole cents or fractions, floats only when a figure is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction


def half_up(amount: Fraction) -> int:
    """To a whole number, halves away from zero, as money is rounded."""
    sign = -1 if amount < 0 else 1
    return sign * math.floor(abs(amount) + Fraction(1, 2))


def month_of(day: date) -> date:
    """The first day of the month."""
    return day.replace(day=1)


def month_end(first: date) -> date:
    """The last day of the month."""
    return month_of(first + timedelta(days=32)) - timedelta(days=1)


def student_t_975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, by bisection of its distribution function.

    For whole degrees the probability between −t and t is a finite sum (Abramowitz and Stegun 26.7.3-4).
    """
    low, high = 1.9, 13.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _between(middle, degrees) < 0.95 else (low, middle)
    return (low + high) / 2


def _between(t: float, degrees: int) -> float:
    theta = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(theta), math.sin(theta)
    terms, term = [], 1.0
    if degrees % 2 == 1:
        if degrees == 1:
            return 2 * theta / math.pi
        term = cosine
        for k in range(1, (degrees - 1) // 2 + 1):
            if k > 1:
                term *= (2 * k - 2) / (2 * k - 1) * cosine * cosine
            terms.append(term)
        return 2 / math.pi * (theta + sine * math.fsum(terms))
    for k in range(degrees // 2):
        if k:
            term *= (2 * k - 1) / (2 * k) * cosine * cosine
        terms.append(term)
    return sine * math.fsum(terms)


def median(values: Sequence[Fraction | int]) -> Fraction:
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return Fraction(ordered[middle])
    return Fraction(ordered[middle - 1] + ordered[middle], 2)


def euros(cents: Fraction | int | None) -> str:
    """Cents as a decimal text of the currency, empty for None."""
    if cents is None:
        return ""
    whole = half_up(Fraction(cents))
    return f"{'-' if whole < 0 else ''}{abs(whole) // 100}.{abs(whole) % 100:02d}"


def quotient(numerator: Fraction | int, denominator: Fraction | int) -> Fraction | None:
    """A ratio, None where the denominator is zero."""
    return None if denominator == 0 else Fraction(numerator) / Fraction(denominator)


def number(value: Fraction | float | None) -> str:
    """A float as text that reads back exactly, empty for None."""
    return "" if value is None else repr(float(value))
