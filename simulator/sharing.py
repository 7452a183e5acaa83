"""Cents divided among many, so that none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def largest_remainders(cents: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Shares in proportion to the weights; the cents that are left go to the largest remainders in order.

    Equal shares where all weights are nil; a negative amount is divided as the positive one.
    """
    if cents < 0:
        return [-share for share in largest_remainders(-cents, weights)]
    total = sum(weights)
    exact = [
        Fraction(cents * weight) / total if total else Fraction(cents, len(weights)) for weight in weights
    ]
    shares = [share.numerator // share.denominator for share in exact]
    order = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: cents - sum(shares)]:
        shares[i] += 1
    return shares
