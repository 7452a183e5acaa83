"""One night on real files: vendors' payloads, a published campaign set, synthetic but foreign records.

The figures are computed a second time here, by pandas and the standard library, from the files alone.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.conftest import ROOT, SHARED

CONFIG = """
clinic: {name: Real files, timezone: America/New_York, currency: USD, phone_region: US, vat_recoverable: true}
sources:
  calltouch: {kind: calltouch, timezone: Europe/Moscow}
  google_ads: {kind: google_ads, account: main}
  site: {kind: ga4, sessions_of_record: true}
  fhir: {kind: fhir}
  facebook:
    kind: mapped_file
    date_format: "%d-%m-%Y"
    streams:
      ad_spend:
        columns: {spend_date: Date, campaign_id: xyz_campaign_id, ad_group: fb_campaign_id,
                  impressions: Impressions, clicks: Clicks, cost_native: Spent}
        defaults: {source: facebook, report_level: ad, currency: USD, account: kag}
  synthea:
    kind: mapped_file
    streams:
      visits:
        columns: {visit_id: Id, patient_id: PATIENT, visited_at: START, doctor: PROVIDER,
                  branch: ORGANIZATION, care_setting: ENCOUNTERCLASS}
        values: {care_setting: {wellness: outpatient, ambulatory: outpatient, outpatient: outpatient,
                                urgentcare: outpatient, emergency: outpatient, inpatient: inpatient}}
      payments:
        columns: {payment_id: ID, visit_id: APPOINTMENTID, patient_id: PATIENTID, paid_at: FROMDATE,
                  amount: PAYMENTS, payer_type: METHOD}
        values: {payer_type: {COPAY: cash, CASH: cash, CC: card, CHECK: transfer, ECHECK: transfer}}
        where: {TYPE: PAYMENT}
      patients:
        columns: {patient_id: Id, birth_date: BIRTHDATE, sex: GENDER}
"""
INBOX = {
    "calltouch/calls": ["call_tracking/calltouch/calls_diary_*.json"],
    "google_ads/ad_spend": ["ad_spend/google_ads/ui_export/*.csv"],
    "site/events": ["web_analytics/ga4/events_*.ndjson"],
    "facebook/ad_spend": ["ad_spend/meta/kag/KAG_conversion_data_with_date.csv"],
    "synthea/visits": ["emr_mis/synthea_csv/encounters.csv"],
    "synthea/payments": ["emr_mis/synthea_csv/claims_transactions.csv"],
    "synthea/patients": ["emr_mis/synthea_csv/patients.csv"],
    "fhir/patients": ["emr_mis/fhir_bulk/Patient.*.ndjson"],
    "fhir/encounters": ["emr_mis/fhir_bulk/Encounter.*.ndjson"],
    "fhir/practitioners": ["emr_mis/fhir_bulk/Practitioner.*.ndjson"],
    "fhir/practitioner_roles": ["emr_mis/fhir_bulk/PractitionerRole.*.ndjson"],
    "fhir/organizations": ["emr_mis/fhir_bulk/Organization.*.ndjson"],
    "fhir/locations": ["emr_mis/fhir_bulk/Location.*.ndjson"],
}
REFUSED = (
    "campaign_report_all_time_usd",
    "campaign_report_dental_clinic_eur",
    "search_keyword_report_by_device_usd",
)
FIXTURES = SHARED / "fixtures"


@dataclass(frozen=True)
class Night:
    data_dir: Path
    output: str
    exit_code: int

    def rows(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.data_dir / "warehouse" / "firstvisit.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()


def segmented_by_day(report: Path) -> str:
    """The real layout with a Day column, as the report looks once it is segmented by day."""
    lines = report.read_text(encoding="utf-8").splitlines()
    out = [*lines[:2], "Day," + lines[2]]
    for line in lines[3:]:
        if line.startswith("Total:"):
            out.append(" --," + line)
            continue
        out.append("2026-04-01," + line)
        out.append("2026-04-02," + line.replace("EUR,0.00,0,", "EUR,1.25,3,"))
    totals = [cells for cells in csv.reader(lines[3:]) if not cells[0].startswith("Total:")]
    spent = f"{Decimal('1.25') * len(totals):.2f}"
    return "\n".join(
        line.replace("EUR,0.00,0,", f"EUR,{spent},{3 * len(totals)},") if line.startswith(" --,") else line
        for line in out
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    if not FIXTURES.is_dir():
        pytest.skip(
            f"no real sample files at {SHARED}; set FIRSTVISIT_SHARED to the folder that has fixtures/"
        )
    folder = tmp_path_factory.mktemp("real")
    data_dir = folder / "data"
    (folder / "clinic.yaml").write_text(CONFIG, encoding="utf-8")
    for target, patterns in INBOX.items():
        inbox = data_dir / "inbox" / target
        inbox.mkdir(parents=True)
        found = [path for pattern in patterns for path in sorted(FIXTURES.glob(pattern))]
        assert found, target
        for path in found:
            shutil.copy(path, inbox / path.name)
    report = FIXTURES / "ad_spend/google_ads/ui_export/campaign_report_dental_clinic_eur.csv"
    (data_dir / "inbox/google_ads/ad_spend/by_day.csv").write_text(segmented_by_day(report), encoding="utf-8")
    (data_dir / "reference").mkdir()
    (data_dir / "reference/fx_rates.csv").write_text("rate_date,currency,rate\n2026-03-31,EUR,1.1\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pipelines.cli import main; main()",
            "--config",
            str(folder / "clinic.yaml"),
            "--data-dir",
            str(data_dir),
            "run",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=ROOT,
    )
    return Night(data_dir, done.stdout + done.stderr, done.returncode)


def test_the_night_publishes_and_fails_for_the_reports_without_days_only(night: Night) -> None:
    assert night.exit_code == 1, night.output[-4000:]
    failed = night.rows("select file, error from ops.loads where status = 'failed' order by file")
    assert [Path(name).stem for name, _ in failed] == list(REFUSED), failed
    for name, error in failed:
        assert name in error
        assert "Day" in error
        assert name in night.output
    assert "\nTraceback" not in night.output


def test_every_row_of_every_file_is_accounted_for(night: Night) -> None:
    assert (
        night.rows(
            "select file from ops.loads where rows_read != rows_landed + rows_duplicate + rows_quarantined"
        )
        == []
    )
    read = dict(night.rows("select stream || '/' || source_name, sum(rows_read) from ops.loads group by 1"))
    assert read["payments/synthea"] == 1843
    assert read["encounters/fhir"] == 1215
    assert read["ad_spend/facebook"] == 1143


def test_calltouchs_sample_calls_count_once(night: Night) -> None:
    # The bare array and the two pages hold the same calls.
    assert night.rows("select count(*), count(distinct call_id) from conformed.calls") == [(7, 7)]


def test_the_day_segmented_report_loads_to_the_cent(night: Night) -> None:
    ((native, cost, days),) = night.rows(
        "select sum(cost_native), sum(cost), count(distinct spend_date) from conformed.ad_spend"
        " where source = 'google'"
    )
    assert (native, days) == (Decimal("3.75"), 2)
    # 1.25 EUR at 1.1 is 1.375: each row is rounded half up by itself.
    assert cost == 3 * Decimal("1.38")


def test_facebooks_spend_is_the_sum_of_rounded_rows_and_reaches_the_marts(night: Night) -> None:
    with (FIXTURES / "ad_spend/meta/kag/KAG_conversion_data_with_date.csv").open(newline="") as stream:
        spent = [Decimal(row["Spent"]) for row in csv.DictReader(stream)]
    expected = sum(s.quantize(Decimal("0.01"), ROUND_HALF_UP) for s in spent)
    for table in ("conformed.daily_costs", "marts.cost_per_call", "marts.cost_per_patient"):
        ((cost,),) = night.rows(f"select sum(cost) from {table} where source = 'facebook'")
        assert cost == expected, table


def test_real_events_fold_into_sessions(night: Night) -> None:
    (found,) = night.rows(
        "select count(*), count(*) filter (where visitor_id like 'ga:%') from conformed.web_sessions"
    )
    # One file has no user_pseudo_id at all: its events are no session.
    assert found == (2, 2)


def test_every_fhir_encounter_has_its_doctor_and_branch(night: Night) -> None:
    assert night.rows(
        "select count(*), count(doctor), count(branch), count_if(is_completed)"
        " from conformed.visits where source_name = 'fhir'"
    ) == [(1215, 1215, 1215, 1215)]


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_clv_by_first_doctor_equals_an_independent_computation_to_the_cent(night: Night) -> None:
    folder = FIXTURES / "emr_mis/synthea_csv"
    visits = pd.read_csv(
        folder / "encounters.csv", usecols=["Id", "START", "PATIENT", "PROVIDER", "ORGANIZATION"]
    )
    visits["START"] = pd.to_datetime(visits["START"], utc=True)
    visits["day"] = visits["START"].dt.tz_convert("America/New_York").dt.date
    paid = pd.read_csv(folder / "claims_transactions.csv", dtype=str)
    paid = paid[paid["TYPE"] == "PAYMENT"]
    paid["FROMDATE"] = pd.to_datetime(paid["FROMDATE"], utc=True)
    paid["amount"] = paid["PAYMENTS"].map(Decimal)

    first = visits.sort_values(["START", "Id"]).groupby("PATIENT").first()
    fhir_days = night.rows(
        "select min(local_date), max(local_date) from conformed.visits where source_name = 'fhir'"
    )
    first_landed = min(visits["day"].min(), fhir_days[0][0])
    as_of = max(visits["day"].max(), fhir_days[0][1])
    # No registration day and no primary flag: first visits within the margin may not be the first.
    first = first[[d >= first_landed + pd.Timedelta(days=180) for d in first["day"]]]

    expected = {}
    for (doctor, branch), group in first.groupby(["PROVIDER", "ORGANIZATION"]):
        totals, first_year, repeat = [], [], 0
        for patient, row in group.iterrows():
            money = paid[paid["PATIENTID"] == patient]
            totals.append(sum(money["amount"], Decimal(0)))
            if row["day"] + pd.Timedelta(days=365) <= as_of:
                within = money[money["FROMDATE"] < row["START"] + pd.Timedelta(days=365)]
                first_year.append(sum(within["amount"], Decimal(0)))
            repeat += visits[visits["PATIENT"] == patient]["day"].nunique() >= 2
        expected[doctor, branch] = (
            len(group),
            repeat,
            cents(sum(totals, Decimal(0)) / len(totals)),
            len(first_year),
            cents(sum(first_year, Decimal(0)) / len(first_year)) if first_year else None,
        )
    assert expected
    found = {
        (doctor, branch): figures
        for doctor, branch, *figures in night.rows(
            "select doctor, branch, new_patients, repeat_patients, clv_to_date_avg, mature_patients_365d,"
            " clv_365d_avg from marts.clv_by_first_doctor where cohort = 'all'"
        )
        if doctor in set(visits["PROVIDER"])
    }
    assert {key: tuple(value) for key, value in found.items()} == expected
    ((revenue,),) = night.rows("select sum(revenue) from marts.monthly_summary")
    assert revenue == Decimal("1103503.95")


def test_no_name_number_or_address_of_the_samples_is_written_anywhere(night: Night) -> None:
    with (FIXTURES / "emr_mis/synthea_csv/patients.csv").open(newline="") as stream:
        people = list(csv.DictReader(stream))
    # Surnames alone recur among the doctors, whose names are kept.
    planted = [p[column].encode() for p in people for column in ("SSN", "DRIVERS", "ADDRESS") if p[column]]
    planted += [f"{p['FIRST']} {p['LAST']}".encode() for p in people]
    planted += [b"70000000010", b"/zamena-uplotnitelya.html?"]
    for path in night.data_dir.rglob("*"):
        if path.is_file() and "inbox" not in path.relative_to(night.data_dir).parts:
            content = path.read_bytes()
            assert not [p for p in planted if p in content], path
