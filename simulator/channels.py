"""The truth of the channels together: journeys of people who became no patient, and what each channel brings.

Worked out in fractions over all journeys, so that no figure depends on an order or a rounding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from simulator.model import DAY, local_day

if TYPE_CHECKING:
    from simulator.truth import Told, Truth

Node = tuple[str, str]
START, CONVERSION, NULL = "(start)", "(conversion)", "(null)"
_LOOK_BACK_DAYS = 90


def removal_effects(truth: Truth) -> dict[str, Fraction]:
    """Channel -> share of the conversions that would be lost without it, by an order-1 Markov chain."""
    counts: Counter[tuple[str, str]] = Counter()
    for journey in truth.walked:
        if journey.touches:
            _count(counts, [touch.place.channel for touch in journey.touches], CONVERSION)
    for channels in stranger_journeys(truth):
        _count(counts, channels, NULL)
    return effects(counts)


def _count(counts: Counter[tuple[str, str]], channels: Sequence[str], end: str) -> None:
    for step in zip((START, *channels), (*channels, end), strict=True):
        counts[step] += 1


def effects(counts: Mapping[tuple[str, str], int]) -> dict[str, Fraction]:
    """The removal effects of counted transitions; empty when nothing converted."""
    channels = sorted({b for _, b in counts} - {CONVERSION, NULL})
    leaves: Counter[str] = Counter()
    for (a, _), n in counts.items():
        leaves[a] += n

    def conversion(removed: str | None) -> Fraction:
        kept = [channel for channel in channels if channel != removed]
        rows = []
        for a in kept:
            row = [Fraction(int(a == b)) - Fraction(counts.get((a, b), 0), leaves[a]) for b in kept]
            rows.append([*row, Fraction(counts.get((a, CONVERSION), 0), leaves[a])])
        reached = dict(zip(kept, _solve(rows), strict=True))
        return sum(
            (Fraction(counts.get((START, c), 0), leaves[START]) * reached[c] for c in kept), Fraction(0)
        )

    if not channels:
        return {}
    whole = conversion(None)
    return {} if not whole else {c: 1 - conversion(c) / whole for c in channels}


def _solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """The unknowns of a square linear system given with its right side, by elimination."""
    size = len(rows)
    for i in range(size):
        pivot = next(r for r in range(i, size) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        scale = rows[i][i]
        rows[i] = [value / scale for value in rows[i]]
        for r in range(size):
            if r != i and rows[r][i]:
                factor = rows[r][i]
                rows[r] = [value - factor * own for value, own in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def stranger_journeys(truth: Truth) -> list[list[str]]:
    """Channels in order of each journey of people tied to no patient that ended a look-back ago or more."""
    groups = _groups(truth)
    tied = {groups[node] for node in _patient_nodes(truth) if node in groups}
    touches: dict[Node, dict[str, tuple[int, str]]] = defaultdict(dict)
    told_of: dict[tuple[Node, str], list[Told]] = defaultdict(list)
    for told in truth.contacts:
        group = next((groups[n] for n in _nodes(truth, told) if n in groups), None)
        if group is None or group in tied:
            continue
        session = told.session
        if session is not None and groups.get(("visitor", session.visitor)) == group:
            told_of[group, f"session:{session.session_id}"].append(told)
        else:
            touches[group][f"contact:{told.contact.global_id}"] = (told.at, told.place.channel)
    for visitor, sessions in truth.sessions_of.items():
        group = groups.get(("visitor", visitor))
        if visitor in truth.shared_browsers or group is None or group in tied:
            continue
        for session in sessions:
            touch = f"session:{session.session_id}"
            places = [t.place for t in told_of[group, touch] if not t.place.is_blank]
            channel = (places or [truth.place_of(session)])[0].channel
            touches[group][touch] = (session.started_at, channel)
    found = []
    for made in touches.values():
        last = max(at for at, _ in made.values())
        if local_day(last) + timedelta(days=_LOOK_BACK_DAYS) > truth.as_of:
            continue
        kept = sorted(
            (at, touch, channel)
            for touch, (at, channel) in made.items()
            if last - at <= _LOOK_BACK_DAYS * DAY
        )
        found.append([channel for _, _, channel in kept])
    return found


def _nodes(truth: Truth, told: Told) -> list[Node]:
    """What a contact carries: phone first, as it says most of who called."""
    found: list[Node] = []
    if told.contact.phone is not None:
        found.append(("phone", told.contact.phone))
    contact = told.contact
    if contact.visitor is not None and contact.visitor not in truth.shared_browsers:
        found.append(("visitor", contact.visitor))
    elif contact.source_name == "calltouch" and contact.visitor is None and not contact.dialled:
        # Calltouch's own cookie, which meets no session.
        found.append(("visitor", contact.global_id))
    if contact.user is not None:
        found.append(("user", contact.user))
    return found


def _groups(truth: Truth) -> dict[Node, Node]:
    """Node -> the one that stands for its connected group."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(nodes: Iterable[Node]) -> None:
        first: Node | None = None
        for node in nodes:
            if first is None:
                first = root(node)
            else:
                parent[root(node)] = root(first)

    for told in truth.contacts:
        join(_nodes(truth, told))
    for visitor, sessions in truth.sessions_of.items():
        if visitor not in truth.shared_browsers:
            users = {s.user for s in sessions if s.user is not None}
            join([("visitor", visitor), *(("user", user) for user in sorted(users))])
    return {node: root(node) for node in parent}


def _patient_nodes(truth: Truth) -> set[Node]:
    """Phones, browsers and accounts of everybody who has a card."""
    found = {("phone", phone) for phones in truth.phones_of.values() for phone in phones}
    for visits in truth.appointments_of.values():
        for visit in visits:
            if visit.visitor_id is not None:
                found.add(("visitor", visit.visitor_id.removeprefix("ga:")))
            if visit.user is not None:
                found.add(("user", visit.user))
            for told in truth.references(visit):
                found.update(_nodes(truth, told))
    return found
