"""What doctor_performance must show: by month, doctor and branch, who came first and who was seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import Any

from simulator.arithmetic import euros, month_end, month_of, number, quotient
from simulator.capacity_utilisation import UNKNOWN, Capacity
from simulator.marts import Marts
from simulator.model import HOUR, local_day
from simulator.truth import Journey, Truth

Cells = dict[str, Any]
Key = tuple[date, str, str]


def doctor_performance(truth: Truth) -> list[Cells]:
    """Month, doctor, branch."""
    cohorts: dict[Key, list[Journey]] = defaultdict(list)
    for journey in truth.journeys:
        cohorts[month_of(journey.first_day), journey.first.doctor, journey.first.branch].append(journey)
    firsts = {journey.patient: "first" for journey in truth.journeys}
    for patient in truth.history_unknown:
        if truth.why_unknown(patient) == "within_history_margin":
            firsts[patient] = "unknown"
    counts: dict[Key, Counter[str]] = defaultdict(Counter)
    for patient, visits in truth.completed_of.items():
        for index, visit in enumerate(visits):
            kind = "repeat" if index else firsts.get(patient, "repeat")
            counts[month_of(local_day(visit.scheduled_at)), visit.doctor, visit.branch][kind] += 1
    held_by = {visit.visit_id: (visit.doctor, visit.branch) for visit in truth.world.visits}
    money: Counter[Key] = Counter()
    for _, at, cents, visit_id in truth.payments:
        doctor, branch = (UNKNOWN, UNKNOWN) if visit_id is None else held_by[visit_id]
        money[month_of(local_day(at)), doctor, branch] += cents
    shifts: Counter[Key] = Counter()
    for (day, doctor, branch), length in Capacity(truth).shift_time(truth.as_of).items():
        shifts[month_of(day), doctor, branch] += length
    stars: dict[Key, list[int]] = defaultdict(list)
    for review in truth.world.reviews:
        stars[month_of(local_day(review.at)), review.doctor, review.branch].append(review.rating)
    quadrants = {
        (row["doctor"], row["branch"]): row["quadrant"]
        for row in Marts(truth).clv_by_first_doctor()
        if row["cohort"] == "all"
    }
    return [
        _row(
            key,
            truth.as_of,
            cohorts[key],
            counts[key],
            {
                "revenue": money[key],
                "shift": shifts.get(key, None),
                "stars": stars[key],
                "quadrant": quadrants.get(key[1:], ""),
            },
        )
        for key in sorted({*cohorts, *counts, *money, *shifts, *stars})
    ]


def _row(key: Key, as_of: date, cohort: list[Journey], counts: Counter[str], more: Cells) -> Cells:
    last = month_end(key[0])
    new = len(cohort)
    repeated = sum(j.is_repeat for j in cohort)
    later = sum(len(j.visits) - 1 for j in cohort)

    def average(days: int) -> str:
        if last + timedelta(days=days) > as_of:
            return ""
        return euros(quotient(sum(j.within(days, as_of) or 0 for j in cohort), new))

    hours = None if more["shift"] is None else quotient(more["shift"], HOUR)
    return {
        "month": key[0],
        "doctor": key[1],
        "branch": key[2],
        "new_patients": new,
        "repeat_patients": repeated,
        "repeat_rate": "" if last + timedelta(days=90) > as_of else number(quotient(repeated, new)),
        "later_visits": later,
        "later_visits_per_new_patient": number(quotient(later, new)),
        "revenue_first_visit": euros(sum(j.of_first_visit for j in cohort)),
        "clv_to_date_avg": euros(quotient(sum(j.to_date for j in cohort), new)),
        "clv_90d_avg": average(90),
        "clv_365d_avg": average(365),
        "visits": counts.total(),
        "repeat_visits": int(counts["repeat"]),
        "history_unknown_visits": int(counts["unknown"]),
        "repeats_per_new_patient": number(quotient(int(counts["repeat"]), new)),
        "revenue": euros(more["revenue"]),
        "shift_hours": number(hours),
        "revenue_per_shift_hour": "" if hours is None else euros(quotient(more["revenue"], hours)),
        "avg_rating": number(quotient(sum(more["stars"]), len(more["stars"]))),
        "ratings": len(more["stars"]),
        "quadrant": more["quadrant"],
    }
