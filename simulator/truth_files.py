"""Writes the truth beside the exports: one CSV a table, and the list of what must never leave the inbox."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from simulator import clinic
from simulator.acquisition_funnel import acquisition_funnel
from simulator.arithmetic import euros, number
from simulator.capacity_utilisation import capacity_utilisation
from simulator.doctor_performance import doctor_performance
from simulator.follow_ups import follow_up_results, follow_ups
from simulator.keyword_performance import keyword_performance
from simulator.kpi_scorecard import kpi_scorecard
from simulator.ltv_cohorts import ltv_cohorts
from simulator.marts import Cells, Marts, coverage
from simulator.missed_contacts import missed_contacts
from simulator.model import DAY, World, local_day, utc
from simulator.operator_performance import operator_performance
from simulator.patient_structure import clv_class, patient_structure
from simulator.revenue_structure import revenue_structure
from simulator.site_traffic import site_traffic
from simulator.truth import DEFAULT_MODEL, MODELS, Journey, Told, Truth


@dataclass(frozen=True, slots=True)
class TruthSummary:
    """Counts for the caller's message."""

    new_patients: int
    linked: int


def write_truth(world: World, folder: Path, recorded: World) -> TruthSummary:
    """Write the truth's tables as CSV and `personal.json`, what must never leave the inbox.

    Of a world that was not `recorded` as it is, `links.csv` tells the contact that truly brought each patient
    and beside it what can be found of it; the folder `recorded` has all that the exports give ground for.
    """
    truth = Truth(world)
    found = truth
    if recorded is not world:
        found = Truth(recorded)
        write_truth(recorded, folder / "recorded", recorded)
    marts = Marts(truth)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "cost_per_call.csv", marts.cost_per_call())
    _write(folder / "cost_per_patient.csv", marts.cost_per_patient())
    _write(folder / "attribution_comparison.csv", marts.attribution_comparison())
    _write(folder / "monthly_summary.csv", marts.monthly_summary())
    _write(folder / "clv_by_first_doctor.csv", marts.clv_by_first_doctor())
    _write(folder / "doctor_performance.csv", doctor_performance(truth))
    _write(folder / "capacity_utilisation.csv", capacity_utilisation(truth))
    _write(folder / "operator_performance.csv", operator_performance(truth))
    _write(folder / "missed_contacts.csv", missed_contacts(truth))
    _write(folder / "kpi_scorecard.csv", kpi_scorecard(truth))
    _write(folder / "follow_up_results.csv", follow_up_results(truth))
    _write(folder / "follow_ups.csv", follow_ups(truth))
    _write(folder / "revenue_structure.csv", revenue_structure(truth))
    _write(folder / "patient_structure.csv", patient_structure(truth))
    _write(folder / "ltv_cohorts.csv", ltv_cohorts(truth))
    _write(folder / "patient_journeys.csv", [_journey_row(j, truth.as_of) for j in truth.journeys])
    _write(folder / "links.csv", [_link_row(j) for j in found.walked])
    _write(
        folder / "journey_touches.csv",
        [
            {
                "patient_id": j.patient,
                "touched_at": _iso(t.at),
                "contact_id": t.contact.global_id if t.contact else "",
                "session_id": f"site:{t.session.session_id}" if t.session else "",
                "channel": t.place.channel,
                "source": t.place.source,
                "campaign": t.place.campaign,
            }
            for j in truth.journeys
            for t in j.touches
        ],
    )
    _write(
        folder / "attribution_credits.csv",
        [
            {
                "patient_id": j.patient,
                "attribution_model": model,
                "touched_at": "" if at is None else _iso(at),
                "channel": place.channel,
                "source": place.source,
                "campaign": place.campaign,
                "credit": number(credit),
            }
            for j in truth.journeys
            for model in MODELS
            for place, at, credit in j.credits[model]
        ],
    )
    _write(
        folder / "channel_removal_effects.csv",
        [
            {
                "channel": channel,
                "removal_effect": number(effect),
                "markov_share": number(effect / sum(truth.removal_effects.values())),
            }
            for channel, effect in truth.removal_effects.items()
        ],
    )
    _write(folder / "contacts.csv", [_contact_row(t) for t in truth.contacts])
    _write(
        folder / "daily_costs.csv",
        [
            {
                "spend_date": day,
                "channel": place.channel,
                "source": place.source,
                "campaign": place.campaign,
                "cost": euros(cents),
                "impressions": impressions,
                "clicks": clicks,
            }
            for day, place, cents, impressions, clicks in truth.daily_costs
        ],
    )
    _write(folder / "coverage.csv", coverage(truth))
    _write(folder / "acquisition_funnel.csv", acquisition_funnel(truth))
    _write(folder / "site_traffic.csv", site_traffic(truth))
    _write(folder / "keyword_performance.csv", keyword_performance(truth))
    (folder / "personal.json").write_text(
        json.dumps(sorted(world.personal), ensure_ascii=False, indent=0) + "\n"
    )
    return TruthSummary(len(truth.journeys), sum(j.acquiring is not None for j in truth.journeys))


def _write(path: Path, rows: Sequence[Cells]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _iso(at: int) -> str:
    return utc(at).isoformat(timespec="microseconds")


def _journey_row(journey: Journey, as_of: date) -> Cells:
    default = max(journey.credits[DEFAULT_MODEL], key=lambda c: c[2])[0]
    first_touch = journey.touches[0].at if journey.touches else None
    return {
        "patient_id": journey.patient,
        "first_visit_at": _iso(journey.first.scheduled_at),
        "first_visit_id": journey.first.visit_id,
        "first_doctor": journey.first.doctor,
        "branch": journey.first.branch,
        "service_line": clinic.SERVICES[journey.first.lines[0].service][2],
        "converted_at": _iso(journey.converted_at),
        "acquiring_contact_id": journey.acquiring.global_id if journey.acquiring else "",
        "acquiring_rule": journey.rule,
        "touches": len(journey.touches),
        "contacts": sum(t.contact is not None for t in journey.touches),
        "first_touch_at": "" if first_touch is None else _iso(first_touch),
        "days_from_first_touch": "" if first_touch is None else (journey.converted_at - first_touch) // DAY,
        "channel": default.channel,
        "source": default.source,
        "campaign": default.campaign,
        "visits": len(journey.visits),
        "visit_days": journey.visit_days,
        "is_repeat": journey.is_repeat,
        "clv_class": clv_class(journey),
        "revenue_first_visit": euros(journey.of_first_visit),
        **{f"revenue_{days}d": euros(journey.within(days, as_of)) for days in (30, 90, 180, 365)},
        "revenue_to_date": euros(journey.to_date),
    }


def _link_row(journey: Journey) -> Cells:
    return {
        "patient_id": journey.patient,
        "case": journey.case or "",
        "true_contact_id": journey.cause.global_id if journey.cause else "",
        "is_reachable": journey.is_cause_reachable,
        "acquiring_contact_id": journey.acquiring.global_id if journey.acquiring else "",
        "acquiring_rule": journey.rule,
    }


def _contact_row(told: Told) -> Cells:
    contact = told.contact
    return {
        "contact_id": contact.global_id,
        "contact_kind": told.kind,
        "contacted_at": _iso(told.at),
        "local_date": local_day(told.at),
        "session_id": f"site:{told.session.session_id}" if told.session else "",
        "is_answered": told.is_answered,
        "is_target": told.is_target,
        "is_missed": told.is_missed,
        "recovered_at": "" if told.recovered_at is None else _iso(told.recovered_at),
        "is_first": told.is_first,
        "is_unique": told.is_unique,
        "is_existing_patient": told.is_existing_patient,
        "channel": told.place.channel,
        "source": told.place.source,
        "campaign": told.place.campaign,
    }
