"""What the marts must show, from the truth: rows with the marts' own column names.

Money is text of euros to the cent, ratios are floats. Sums are exact until they are written.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final

from simulator import clinic
from simulator.arithmetic import euros, median, month_end, month_of, number, quotient, student_t_975
from simulator.model import local_day
from simulator.truth import DEFAULT_MODEL, MODELS, PAID, RULES, UNKNOWN_REASONS, Journey, Key, Truth

Cells = dict[str, Any]
SHARED: Final = "(shared)"
FEWEST_FOR_AN_INTERVAL: Final = 5
FEWEST_RATINGS: Final = 5


class Marts:
    """The marts' rows, with the marts' own column names. Money is text of euros, ratios are floats."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        # Campaign -> (branch, service line) of a row; other campaigns are shared.
        self.campaign_map = {
            truth.names[key]: (branch or SHARED, line or SHARED)
            for key, (branch, line) in clinic.CAMPAIGN_MAP.items()
        }
        as_of = truth.as_of
        self.money = {
            journey.patient: {
                "revenue_first_visit": journey.of_first_visit,
                "revenue_90d": journey.within(90, as_of) or 0,
                "revenue_365d": journey.within(365, as_of) or 0,
                "revenue_to_date": journey.to_date,
            }
            for journey in truth.journeys
        }
        self.campaign_map[clinic.BILLBOARD_CAMPAIGN] = ("Maksimir", SHARED)
        self.costs: dict[tuple[date, Key], list[int]] = defaultdict(lambda: [0, 0, 0])
        for day, place, cents, impressions, clicks in truth.daily_costs:
            cell = self.costs[month_of(day), place.key]
            cell[0] += cents
            cell[1] += impressions
            cell[2] += clicks

    def _where(self, month: date, key: Key) -> Cells:
        branch, line = self.campaign_map.get(key[2], (SHARED, SHARED))
        return {
            "month": month,
            "channel": key[0],
            "source": key[1],
            "campaign": key[2],
            "branch": branch,
            "service_line": line,
        }

    def cost_per_call(self) -> list[Cells]:
        """Month, channel, source, campaign."""
        sessions: Counter[tuple[date, Key]] = Counter(
            (month_of(local_day(s.started_at)), self.truth.place_of(s).key) for s in self.truth.world.sessions
        )
        calls: dict[tuple[date, Key], Counter[str]] = defaultdict(Counter)
        for told in self.truth.contacts:
            if not told.is_call:
                continue
            cell = calls[month_of(local_day(told.at)), told.place.key]
            cell.update(
                {
                    "calls": 1,
                    "unique_calls": told.is_unique,
                    "first_time_calls": told.is_first,
                    "answered_calls": bool(told.is_answered),
                    "missed_calls": told.is_missed,
                    "target_calls": bool(told.is_target),
                }
            )
        rows = []
        for month, key in sorted({*self.costs, *sessions, *calls}):
            cents, impressions, clicks = self.costs.get((month, key), (0, 0, 0))
            count = calls.get((month, key), Counter())
            row = self._where(month, key) | {
                "cost": euros(cents),
                "impressions": impressions,
                "clicks": clicks,
                "sessions": sessions[month, key],
            }
            names = (
                "calls",
                "unique_calls",
                "first_time_calls",
                "answered_calls",
                "missed_calls",
                "target_calls",
            )
            row |= {name: int(count[name]) for name in names}
            for name, of in (
                ("cost_per_call", "calls"),
                ("cost_per_unique_call", "unique_calls"),
                ("cost_per_first_time_call", "first_time_calls"),
                ("cost_per_target_call", "target_calls"),
            ):
                row[name] = euros(quotient(cents, int(count[of])))
            rows.append(row)
        return rows

    def _credit_sums(
        self, model: str, month: Callable[[Journey, int | None], date], *measures: str
    ) -> dict[tuple[date, Key], dict[str, Fraction]]:
        """Sums of credit, of credit of repeat patients and of credit × money, by month and place."""
        found: dict[tuple[date, Key], dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for journey in self.truth.journeys:
            for place, at, credit in journey.credits[model]:
                cell = found[month(journey, at), place.key]
                share = Fraction(credit)
                cell["new_patients"] += share
                cell["repeat_patients"] += share * journey.is_repeat
                for name in measures:
                    cell[name] += share * self.money[journey.patient][name]
        return found

    def cost_per_patient(self) -> list[Cells]:
        """Month of first visit, channel, source, campaign; the default model, whose credits are whole."""
        revenues = ("revenue_first_visit", "revenue_90d", "revenue_365d", "revenue_to_date")
        sums = self._credit_sums(DEFAULT_MODEL, lambda journey, _: month_of(journey.first_day), *revenues)
        patients: dict[date, list[Journey]] = defaultdict(list)
        for journey in self.truth.journeys:
            patients[month_of(journey.first_day)].append(journey)
        unlinked = {
            month: cell["new_patients"] for (month, key), cell in sums.items() if key[0] == "unlinked"
        }
        rows = []
        for month, key in sorted({*self.costs, *sums}):
            cents = self.costs.get((month, key), (0, 0, 0))[0]
            cell = sums.get((month, key), defaultdict(Fraction))
            group = patients[month]
            linked = sum(j.rule != "unlinked" for j in group)
            new = cell["new_patients"]
            is_mature = {
                days: month_end(month) + timedelta(days=days) <= self.truth.as_of for days in (90, 365)
            }
            year = cell["revenue_365d"] if is_mature[365] else None
            low = None
            if key[0] != "unlinked" and new and group:
                share = Fraction(len(group) - unlinked.get(month, Fraction(0)), len(group))
                low = Fraction(cents) / new * share if share else None
            rows.append(
                self._where(month, key)
                | {
                    "attribution_model": DEFAULT_MODEL,
                    "cost": euros(cents),
                    "new_patients": number(new),
                    "repeat_patients": number(cell["repeat_patients"]),
                    "linked_share": number(quotient(linked, len(group))),
                    "revenue_first_visit": euros(cell["revenue_first_visit"]),
                    "revenue_90d": euros(cell["revenue_90d"] if is_mature[90] else None),
                    "revenue_365d": euros(year),
                    "revenue_to_date": euros(cell["revenue_to_date"]),
                    "cost_per_patient": euros(quotient(cents, new)),
                    "cost_per_patient_low": euros(low),
                    "cost_to_revenue": number(None if year is None else quotient(cents, year)),
                    "roas": number(None if year is None else quotient(year, cents)),
                    "romi": number(None if year is None else quotient(year - cents, cents)),
                    "roas_to_date": number(quotient(cell["revenue_to_date"], cents)),
                }
            )
        return rows

    def attribution_comparison(self) -> list[Cells]:
        """Month, basis, model, channel, source, campaign.

        Money that is shared, and money per shared patient, is written as it is, not in cents: the noise of a
        float in time decay's credits would else decide how half a cent is rounded.
        """
        rows = []
        for basis in ("first_visit", "touch"):
            for model in MODELS:
                sums = self._credit_sums(model, _month_by(basis), "revenue_to_date")
                for month, key in sorted({*self.costs, *sums}):
                    cents = self.costs.get((month, key), (0, 0, 0))[0]
                    cell = sums.get((month, key), defaultdict(Fraction))
                    new = cell["new_patients"]
                    each = quotient(cents, new)
                    rows.append(
                        {
                            "month": month,
                            "month_basis": basis,
                            "attribution_model": model,
                            "channel": key[0],
                            "source": key[1],
                            "campaign": key[2],
                            "cost": euros(cents),
                            "new_patients": number(new),
                            "revenue_to_date": number(cell["revenue_to_date"] / 100),
                            "cost_per_patient": number(None if each is None else each / 100),
                        }
                    )
        return rows

    def monthly_summary(self) -> list[Cells]:
        """Month."""
        truth = self.truth
        found: dict[date, Counter[str]] = defaultdict(Counter)
        for (month, _), (cents, _, _) in self.costs.items():
            found[month]["cost"] += cents
        for told in truth.contacts:
            found[month_of(local_day(told.at))].update({"contacts": 1, "calls": told.is_call})
        for visit in (*truth.world.visits, *truth.world.planned):
            if visit.booked_on is not None:
                day = visit.booked_on
            else:
                day = local_day(visit.scheduled_at if visit.booked_at is None else visit.booked_at)
            found[month_of(day)]["bookings"] += 1
            if visit.is_completed:
                found[month_of(local_day(visit.scheduled_at))]["arrivals"] += 1
        for journey in truth.journeys:
            found[month_of(journey.first_day)]["new_patients"] += 1
        for _, at, cents, _ in truth.payments:
            found[month_of(local_day(at))]["revenue"] += cents
        return [
            {
                "month": month,
                "cost": euros(cell["cost"]),
                "calls": int(cell["calls"]),
                "contacts": cell["contacts"],
                "bookings": cell["bookings"],
                "arrivals": cell["arrivals"],
                "new_patients": cell["new_patients"],
                "revenue": euros(cell["revenue"]),
                "cost_per_call": euros(quotient(cell["cost"], int(cell["calls"]))),
                "cost_per_patient": euros(quotient(cell["cost"], cell["new_patients"])),
            }
            for month, cell in sorted(found.items())
        ]

    def clv_by_first_doctor(self) -> list[Cells]:
        """Doctor, branch, cohort."""
        cohorts: dict[str, dict[tuple[str, str], list[Journey]]] = defaultdict(lambda: defaultdict(list))
        for journey in self.truth.journeys:
            group = journey.first.doctor, journey.first.branch
            cohorts["all"][group].append(journey)
            cohorts[str(journey.first_day.year)][group].append(journey)
        return [row for name, groups in sorted(cohorts.items()) for row in self._cohort(name, groups)]

    def _cohort(self, cohort: str, groups: Mapping[tuple[str, str], list[Journey]]) -> list[Cells]:
        as_of = self.truth.as_of
        mature = {
            group: [cents for j in journeys if (cents := j.within(365, as_of)) is not None]
            for group, journeys in groups.items()
        }
        shrunk = shrink(mature)
        ratings: dict[tuple[str, str], list[int]] = defaultdict(list)
        for review in self.truth.world.reviews:
            ratings[review.doctor, review.branch].append(review.rating)
        rated = [g for g in groups if len(ratings[g]) >= FEWEST_RATINGS and shrunk[g] is not None]
        middle_clv = median([value for g in rated if (value := shrunk[g]) is not None]) if rated else None
        middle_rating = median([Fraction(sum(ratings[g]), len(ratings[g])) for g in rated]) if rated else None
        rows = []
        for group, journeys in sorted(groups.items()):
            early = [j for j in journeys if j.first_day + timedelta(days=90) <= as_of]
            stars = ratings[group]
            rating = quotient(sum(stars), len(stars))
            value = shrunk[group]
            quadrant = ""
            if (
                group in rated
                and value is not None
                and middle_clv is not None
                and rating is not None
                and middle_rating is not None
            ):
                quadrant = (
                    ("high" if value >= middle_clv else "low")
                    + "_clv_"
                    + ("high" if rating >= middle_rating else "low")
                    + "_rating"
                )
            average = quotient(sum(mature[group]), len(mature[group]))
            low, high = interval(mature[group])
            rows.append(
                {
                    "doctor": group[0],
                    "branch": group[1],
                    "cohort": cohort,
                    "new_patients": len(journeys),
                    "repeat_patients": sum(j.is_repeat for j in journeys),
                    "mature_patients_90d": len(early),
                    "repeat_rate": number(quotient(sum(j.is_repeat for j in early), len(early))),
                    "visits_per_patient": number(
                        Fraction(sum(len(j.visits) for j in journeys), len(journeys))
                    ),
                    "clv_to_date_avg": euros(Fraction(sum(j.to_date for j in journeys), len(journeys))),
                    "clv_to_date_median": euros(median([j.to_date for j in journeys])),
                    "clv_90d_avg": euros(quotient(sum(j.within(90, as_of) or 0 for j in early), len(early))),
                    "mature_patients_365d": len(mature[group]),
                    "clv_365d_avg": euros(average),
                    "clv_365d_shrunk": euros(value),
                    "clv_365d_low": euros(low),
                    "clv_365d_high": euros(high),
                    "first_visit_revenue_share": number(
                        quotient(sum(j.of_first_visit for j in journeys), sum(j.to_date for j in journeys))
                    ),
                    "avg_rating": number(rating),
                    "ratings": len(stars),
                    "quadrant": quadrant,
                }
            )
        return rows


def _month_by(basis: str) -> Callable[[Journey, int | None], date]:
    if basis == "first_visit":
        return lambda journey, _: month_of(journey.first_day)
    return lambda journey, at: month_of(journey.first_day if at is None else local_day(at))


def shrink(groups: Mapping[tuple[str, str], Sequence[int]]) -> dict[tuple[str, str], Fraction | None]:
    """Group means drawn to the common mean: (n·x̄ + k·μ)/(n + k), k = within/between variance by moments.

    One-way analysis of variance over the groups with members; the between-variance takes n0 =
    (N − Σn²/N)/(g − 1) as the typical size. Not above zero, or not to be told: μ. None for an empty group.
    """
    filled = {group: [Fraction(v) for v in values] for group, values in groups.items() if values}
    if not filled:
        return dict.fromkeys(groups)
    size = sum(len(values) for values in filled.values())
    totals = {group: sum(values, Fraction(0)) for group, values in filled.items()}
    mean = sum(totals.values(), Fraction(0)) / size
    means = {group: totals[group] / len(values) for group, values in filled.items()}
    k: Fraction | None = None
    if len(filled) > 1 and size > len(filled):
        spare, groups_less_one = size - len(filled), len(filled) - 1
        squares = [(v - means[group]) ** 2 for group, values in filled.items() for v in values]
        within = sum(squares, Fraction(0)) / spare
        squares = [len(values) * (means[group] - mean) ** 2 for group, values in filled.items()]
        between = sum(squares, Fraction(0)) / groups_less_one
        typical = (size - Fraction(sum(len(v) ** 2 for v in filled.values()), size)) / groups_less_one
        variance = (between - within) / typical
        if variance > 0:
            k = within / variance
    found: dict[tuple[str, str], Fraction | None] = {}
    for group in groups:
        if group not in filled:
            found[group] = None
        elif k is None:
            found[group] = mean
        else:
            found[group] = (totals[group] + k * mean) / (len(filled[group]) + k)
    return found


def interval(values: Sequence[int]) -> tuple[Fraction | None, Fraction | None]:
    """The 95 % t interval of the mean; None under five values."""
    n = len(values)
    if n < FEWEST_FOR_AN_INTERVAL:
        return None, None
    mean = Fraction(sum(values), n)
    variance = sum((v - mean) ** 2 for v in values) / (n - 1)
    half = Fraction(student_t_975(n - 1) * math.sqrt(variance / n))
    return mean - half, mean + half


def coverage(truth: Truth) -> list[Cells]:
    """Measure and item: what is known of how much."""
    world = truth.world
    calls = [t for t in truth.contacts if t.is_call]
    rows = [
        _part(
            "calls_with_source",
            "calltouch",
            "calls",
            sum(t.place.channel != "unassigned" for t in calls),
            len(calls),
        )
    ]
    rules = Counter(j.rule for j in truth.journeys)
    rows += [_part("patients_by_rule", rule, "patients", rules[rule], len(truth.journeys)) for rule in RULES]
    rows.append(
        _part(
            "patients_with_touches",
            "",
            "patients",
            sum(bool(j.touches) for j in truth.journeys),
            len(truth.journeys),
        )
    )
    reasons = Counter(truth.why_unknown(patient) for patient in truth.history_unknown)
    rows += [
        _part("history_unknown", reason, "patients", reasons[reason], len(truth.completed_of))
        for reason in UNKNOWN_REASONS
    ]
    flagged = [
        (v.says_primary, v is visits[0])
        for visits in truth.completed_of.values()
        for v in visits
        if v.says_primary is not None
    ]
    rows.append(
        _part(
            "clinic_primary_disagreement",
            "flagged_primary_but_not_first_visit",
            "visits",
            sum(says and not first for says, first in flagged),
            len(flagged),
        )
    )
    rows.append(
        _part(
            "clinic_primary_disagreement",
            "first_visit_but_not_flagged_primary",
            "visits",
            sum(first and not says for says, first in flagged),
            len(flagged),
        )
    )
    rows += _spend_coverage(truth)
    paid: dict[str, Counter[bool]] = defaultdict(Counter)
    names = {(c.platform, c.name) for c in world.campaigns}
    for session in world.sessions:
        place = truth.place_of(session)
        if place.channel in PAID:
            paid[place.source][(place.source, place.campaign) in names] += 1
    rows += [
        _part("paid_sessions_matched", source, "sessions", count[True], count.total())
        for source, count in paid.items()
    ]
    unmapped = sum(v.raw_status is not None for v in world.visits)
    rows.append(_part("unmapped_statuses", "visits", "rows", unmapped, len(world.visits)))
    rows.append(
        _part("unmapped_statuses", "appointments", "rows", unmapped, len(world.visits) + len(world.planned))
    )
    carried = {phone for phones in truth.phones_of.values() for phone in phones}
    linking = {phone for phones in truth.linking_phones_of.values() for phone in phones}
    rows.append(_part("phones_not_linking", "", "phones", len(carried - linking), len(carried)))
    return rows


def _spend_coverage(truth: Truth) -> list[Cells]:
    """Spend of campaigns that somebody came from, of unknown tax basis and without a rate, by source."""
    seen = {truth.place_of(s).key for s in truth.world.sessions} | {t.place.key for t in truth.contacts}
    spent: dict[str, Counter[bool]] = defaultdict(Counter)
    native: Counter[str] = Counter()
    for s in truth.world.spend:
        key = s.campaign.channel, s.campaign.platform, s.campaign.name
        spent[s.campaign.platform][key in seen] += truth.cents_of(s)
        native[s.campaign.platform] += s.cents
    rows = []
    for platform, cents in spent.items():
        source = clinic.SOURCE_OF[platform]
        whole = cents.total()
        rows.append(_part("spend_matched", platform, "EUR", euros(cents[True]), euros(whole)))
        rows.append(
            _part(
                "spend_of_unknown_tax_basis",
                source,
                "EUR",
                euros(whole if platform == "facebook" else 0),
                euros(whole),
            )
        )
        rows.append(
            _part("spend_without_rate", source, clinic.CURRENCY_OF[platform], "0.00", euros(native[platform]))
        )
    paid = sum(line.paid - line.refund for visit in truth.world.visits for line in visit.lines)
    paid += sum(payment.amount for payment in truth.world.payments)
    rows.append(_part("payments_without_rate", "mis", "EUR", "0.00", euros(paid)))
    return rows


def _part(measure: str, item: str, unit: str, value: object, total: object) -> Cells:
    share = quotient(Fraction(str(value)), Fraction(str(total)))
    return {
        "measure": measure,
        "item": item,
        "unit": unit,
        "value": value,
        "total": total,
        "share": number(share),
    }
