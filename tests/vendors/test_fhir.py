"""FHIR Bulk Data Access: jobs, manifests, files on other hosts, deletions, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

from connectors import _fhir_bulk
from connectors.check import check
from connectors.contract import ReadLog, SourceOptions, Window
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.fhir import CONNECTOR
from connectors.privacy import Privacy
from pipelines import landing
from pipelines.config import load_clinic
from pipelines.landing import Landing
from tests.vendors.loopback import (
    ZONE,
    ApiContract,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

TOKEN = "bearer-0451"
TYPES = {
    "Patient",
    "Encounter",
    "Appointment",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "ChargeItem",
    "Invoice",
    "PaymentReconciliation",
    "PaymentNotice",
}


def encounter(id_: str, start: str, updated: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "meta": {"lastUpdated": updated},
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": start},
        **more,
    }


RESOURCES = [
    encounter("e1", "2023-05-02T09:00:00+02:00", "2023-05-02T08:00:00Z"),
    encounter("e2", "2024-03-07T09:00:00+01:00", "2024-03-07T09:00:00Z"),
    encounter("e3", "2024-03-08T09:00:00+01:00", "2024-03-08T09:00:00Z"),
    encounter("e4", "2024-03-08T11:00:00+01:00", "2024-03-08T12:00:00Z"),
    encounter("e5", "2024-03-09T23:30:00+01:00", "2024-03-09T22:40:00Z"),
    {"resourceType": "Practitioner", "id": "d1", "meta": {"lastUpdated": "2020-01-01T00:00:00Z"}},
]


class Emr:
    """A FHIR server with bulk export: every job is looked at twice before it is finished."""

    def __init__(self, token: str = "", *, looks: int = 1, per_file: int = 1) -> None:
        self.token = token
        self.looks = looks
        self.per_file = per_file
        self.resources = list(RESOURCES)
        # (type, id, time of deletion)
        self.deleted: list[tuple[str, str, str]] = []
        self.outcomes: list[dict[str, Any]] = []
        self.now = "2024-03-10T02:15:00.123+01:00"
        self.unsupported: set[str] = set()
        self.requires_token: bool | None = True
        # Where files are served, when not here; the path of the job's address, when not the usual one.
        self.files_at: str | None = None
        self.manifest_more: dict[str, Any] = {}
        self.counts = True
        self.retry_after: str | None = "30"
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, str]] = []
        self.removed: list[str] = []
        self.expires = False

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._grant(request)
        if request.path.startswith("/files/"):
            has_token = request.headers.get("Authorization") == f"Bearer {self.token}"
            if has_token != (self.requires_token is not False):
                return Reply(outcome("login"), 401 if self.requires_token else 400)
            return self._file(request)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return Reply(outcome("login"), 401)
        if request.path.endswith("$export"):
            return self._kick_off(request)
        job = request.path.rpartition("/")[2]
        if request.path != f"/fhir/jobs/{job}" or job not in self.jobs or job in self.removed:
            return Reply(outcome("not-found"), 404)
        if request.method == "DELETE":
            self.removed.append(job)
            return Reply("", 202)
        return self._look(job, request)

    def _grant(self, request: Request) -> Reply:
        form = request.form()
        wanted = {"grant_type": "client_credentials", "client_id": "firstvisit", "scope": "system/*.read"}
        if form != {**wanted, "client_secret": ApiContract.secret}:
            return Reply({"error": "invalid_client"}, 401)
        return Reply({"access_token": self.token, "expires_in": 300})

    def _kick_off(self, request: Request) -> Reply:
        assert request.method == "GET"
        assert request.path in ("/fhir/$export", "/fhir/Group/7/$export")
        assert request.headers["Accept"] == "application/fhir+json"
        assert request.headers["Prefer"] == "respond-async"
        assert request.query["_outputFormat"] == "application/fhir+ndjson"
        assert request.query.keys() <= {"_outputFormat", "_type", "_since"}
        type_ = request.query["_type"]
        if type_ not in TYPES - self.unsupported:
            return Reply(outcome("not-supported"), 400)
        since = request.query.get("_since")
        if since is not None:
            assert datetime.fromisoformat(since).tzinfo is not None, "_since is an instant"
        self.asked.append(request.query)
        job = f"j{len(self.jobs) + 1}"
        self.jobs[job] = {"type": type_, "since": since, "looks": 0}
        host = request.headers["Host"]
        return Reply("", 202, {"Content-Location": f"http://{host}/fhir/jobs/{job}"})

    def _look(self, job: str, request: Request) -> Reply:
        state = self.jobs[job]
        state["looks"] += 1
        if state["looks"] <= self.looks:
            headers = {"X-Progress": "half"}
            return Reply("", 202, headers | ({"Retry-After": self.retry_after} if self.retry_after else {}))
        if self.expires:
            return Reply(outcome("not-found"), 410)
        base = self.files_at or f"http://{request.headers['Host']}"
        found = self._found(state)
        files = [found[i : i + self.per_file] for i in range(0, len(found), self.per_file)]
        output = [
            {
                "type": state["type"],
                "url": f"{base}/files/{job}/{i}",
                **({"count": len(f)} if self.counts else {}),
            }
            for i, f in enumerate(files)
        ]
        manifest: dict[str, Any] = {
            "transactionTime": self.now,
            "request": "…",
            "output": output,
            "error": [{"type": "OperationOutcome", "url": f"{base}/files/{job}/error"}]
            if self.outcomes
            else [],
            **self.manifest_more,
        }
        if self.requires_token is not None:
            manifest["requiresAccessToken"] = self.requires_token
        if state["since"] is not None and self.deleted:
            manifest["deleted"] = [{"type": "Bundle", "url": f"{base}/files/{job}/deleted"}]
        state["files"] = files
        return Reply(manifest)

    def _found(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        since = None if state["since"] is None else datetime.fromisoformat(state["since"])
        return [
            r
            for r in self.resources
            if r["resourceType"] == state["type"]
            and (since is None or datetime.fromisoformat(r["meta"]["lastUpdated"]) >= since)
        ]

    def _file(self, request: Request) -> Reply:
        assert request.headers["Accept"] == "application/fhir+ndjson"
        _, _, job, name = request.path.split("/")
        if name == "error":
            return ndjson(self.outcomes)
        if name == "deleted":
            return ndjson([self._bundle(*deletion) for deletion in self.deleted])
        return ndjson(self.jobs[job]["files"][int(name)])

    def _bundle(self, type_: str, id_: str, at: str) -> dict[str, Any]:
        entry = {"request": {"method": "DELETE", "url": f"{type_}/{id_}"}}
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "meta": {"lastUpdated": at},
            "entry": [entry],
        }


def outcome(code: str, severity: str = "error", text: str = "Ana Horvat's record") -> dict[str, Any]:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text}],
    }


def ndjson(resources: list[dict[str, Any]]) -> Reply:
    return Reply("".join(json.dumps(r) + "\n" for r in resources))


def source(url: str, token: str = TOKEN, **more: Any) -> SourceOptions:
    return options("fhir", base_url=f"{url}/fhir", token=token, **more)


@contextmanager
def emr(**settings: Any) -> Iterator[tuple[Emr, SourceOptions]]:
    vendor = Emr(TOKEN, **settings)
    with playing(vendor) as server:
        yield vendor, source(server.url)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["encounter_id"] for row in rows]


class TestFhirApi(ApiContract):
    stream = "encounters"
    key = "encounter_id"
    asked = window("2024-03-08", "2024-03-09")
    empty = window("2024-03-10", "2024-03-11")
    ids: ClassVar[list[str]] = ["e3", "e4", "e5"]

    emr: Emr

    def fresh(self) -> None:
        self.emr = Emr(self.secret)
        self.emr.now = "2024-03-12T02:00:00Z"

    def vendor(self, request: Request) -> Reply:
        return self.emr(request)

    def source(self, url: str) -> SourceOptions:
        return source(url, self.secret)


class TestFhirApiWithClientCredentials(TestFhirApi):
    setting = "client_secret"
    renews = True

    def fresh(self) -> None:
        self.emr = Emr("granted")
        self.emr.now = "2024-03-12T02:00:00Z"

    def source(self, url: str) -> SourceOptions:
        return options(
            "fhir",
            base_url=f"{url}/fhir",
            token_url=f"{url}/token",
            client_id="firstvisit",
            client_secret=self.secret,
        )


def test_changes_are_asked_for_since_the_window_began_in_the_clinics_zone(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        assert ids(fetched(src, "encounters", window("2024-03-08", "2024-03-09"))) == ["e3", "e4", "e5"]
    assert vendor.asked == [
        {
            "_outputFormat": "application/fhir+ndjson",
            "_type": "Encounter",
            "_since": "2024-03-08T00:00:00+01:00",
        }
    ]


def test_the_first_window_and_a_window_of_one_day_ask_for_everything(pauses: list[float]) -> None:
    everything = ["e1", "e2", "e3", "e4", "e5"]
    with emr() as (vendor, src):
        assert ids(fetched(src, "encounters", window("2023-03-10", "2024-03-09"))) == everything
        assert ids(fetched(src, "encounters", window("2024-03-10"))) == everything
        since = src.model_copy(update={"since": date(2024, 3, 1)})
        assert ids(fetched(since, "encounters", window("2024-03-01", "2024-03-09"))) == everything
        assert ids(fetched(since, "encounters", window("2024-03-02", "2024-03-09"))) != everything
    assert ["_since" in query for query in vendor.asked] == [False, False, False, True]


def test_it_is_waited_as_long_as_the_server_says(pauses: list[float]) -> None:
    with emr(looks=3) as (vendor, src):
        fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        assert [p for p in pauses if p > 0.9] == [29.0, 1.0] * 3
        pauses.clear()
        vendor.retry_after = None
        fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        assert [p for p in pauses if p > 0.9] == [9.0, 1.0] * 3


def test_an_export_that_never_ends_is_given_up_and_removed(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fhir_bulk, "_AT_MOST", 60.0)
    with emr(looks=10**6) as (vendor, src), pytest.raises(TransientError, match="not ready after 1 minutes"):
        fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
    assert vendor.removed == ["j1"]


def test_the_job_is_removed_after_success_and_after_failure(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        assert vendor.removed == ["j1"]
        vendor.now = "2024-03-09T02:00:00Z"
        with pytest.raises(IncompleteError):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        assert vendor.removed == ["j1", "j2"]
        rows = CONNECTOR.fetch(src, stream_of(src, "encounters"), window("2024-03-10"), ReadLog())
        next(rows)
        rows.close()  # type: ignore[attr-defined]
        assert vendor.removed == ["j1", "j2", "j3"]


def test_data_that_end_before_the_window_do_not_pass_for_it(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.now = "2024-03-09T22:59:59Z"  # the ninth of March ends at 23:00 UTC
        with pytest.raises(IncompleteError, match="data end at 2024-03-09 22:59 UTC"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        vendor.now = "2024-03-09T23:00:00Z"
        assert len(fetched(src, "encounters", window("2024-03-08", "2024-03-09"))) == 3


def test_deletions_land_as_deletions_of_their_own_type(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.deleted = [
            ("Encounter", "e2", "2024-03-09T10:00:00Z"),
            ("Patient", "e3", "2024-03-09T10:00:00Z"),
        ]
        log = ReadLog()
        rows = fetched(src, "encounters", window("2024-03-08", "2024-03-09"), log)
    gone = [row for row in rows if row["is_deleted"]]
    assert [(row["encounter_id"], row["last_updated"], row["status"]) for row in gone] == [
        ("e2", datetime(2024, 3, 9, 10, tzinfo=UTC), None)
    ]
    assert log.skipped == {"deletion of another type": 1}


def test_a_file_shorter_than_announced_is_refused(pauses: list[float]) -> None:
    with emr(per_file=5) as (vendor, src):
        original = vendor._file

        def short(request: Request) -> Reply:
            whole = original(request).encoded()
            return Reply(whole[: whole.index(b"\n") + 1])

        vendor._file = short  # type: ignore[method-assign]
        with pytest.raises(IncompleteError, match="holds 1 resources, not 3"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        vendor.counts = False
        vendor._file = lambda request: Reply(original(request).encoded()[:-40])  # type: ignore[method-assign]
        with pytest.raises(FileRefused, match="not JSON"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))


def test_what_the_server_could_not_export_is_quarantined_without_its_words(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.outcomes = [outcome("exception"), outcome("informational", "information")]
        log = ReadLog()
        stream = stream_of(src, "encounters")
        raw = list(CONNECTOR.fetch(src, stream, window("2024-03-08", "2024-03-09"), log))
    checked = list(check(raw, stream, Privacy(b"k" * 32, "HR"), log, arrived_at=datetime.now(tz=UTC)))
    (bad,) = [q for c in checked for q in c.quarantined]
    assert (bad.column, bad.reason, bad.values) == ("", "the server could not export this resource", {})
    assert log.skipped == {"remark of the server on its export": 1}


def test_the_token_goes_to_the_servers_own_host_only(pauses: list[float]) -> None:
    with emr() as (vendor, src), playing(vendor) as elsewhere:
        vendor.files_at = elsewhere.url
        with pytest.raises(PermanentError, match="name it under `file_hosts`"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
        assert elsewhere.requests == []
        trusted = src.model_copy(update={"file_hosts": (elsewhere.url.removeprefix("http://"),)})
        assert len(fetched(trusted, "encounters", window("2024-03-08", "2024-03-09"))) == 3
        assert {r.headers.get("Authorization") for r in elsewhere.requests} == {f"Bearer {TOKEN}"}


def test_signed_files_are_read_without_the_token_wherever_they_lie(pauses: list[float]) -> None:
    with emr() as (vendor, src), playing(vendor) as elsewhere:
        vendor.requires_token = False
        assert len(fetched(src, "encounters", window("2024-03-08", "2024-03-09"))) == 3
        vendor.files_at = elsewhere.url
        assert len(fetched(src, "encounters", window("2024-03-08", "2024-03-09"))) == 3
        assert {r.headers.get("Authorization") for r in elsewhere.requests} == {None}


def test_files_are_not_read_without_encryption_when_the_server_has_it(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.files_at = "ftp://files.example"
        with pytest.raises(PermanentError, match="ftp:, which is not encrypted"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))


def test_a_manifest_without_the_flag_is_read_with_the_token(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.requires_token = None
        assert len(fetched(src, "encounters", window("2024-03-08", "2024-03-09"))) == 3


def test_a_type_that_the_server_does_not_have_names_the_remedy(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.unsupported = {"Invoice"}
        with pytest.raises(PermanentError, match=r"says not-supported; .*leave its stream out") as refused:
            fetched(src, "invoices", window("2024-03-08", "2024-03-09"))
    assert "Ana" not in str(refused.value)


def test_an_expired_job_is_for_the_next_night(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.expires = True
        with pytest.raises(TransientError, match="expired on the server"):
            fetched(src, "encounters", window("2024-03-08", "2024-03-09"))


def test_a_server_that_does_not_start_an_export_is_told_apart(pauses: list[float]) -> None:
    with (
        playing(lambda _request: Reply({"resourceType": "Bundle"})) as server,
        pytest.raises(PermanentError, match="HTTP 200 where an export should have been started"),
    ):
        fetched(source(server.url), "encounters", window("2024-03-08", "2024-03-09"))


def test_pages_of_the_manifest_are_followed(pauses: list[float]) -> None:
    with emr(per_file=2) as (vendor, src), playing(vendor) as server:
        src = source(server.url)

        def paged(request: Request) -> Reply:
            if request.path == "/files/page/2":
                more = [{"type": "Encounter", "url": "/files/j1/0", "count": 2}]
                return Reply({"transactionTime": vendor.now, "requiresAccessToken": True, "output": more})
            return Emr._file(vendor, request)

        vendor._file = paged  # type: ignore[method-assign]
        vendor.manifest_more = {"link": [{"relation": "next", "url": f"{server.url}/files/page/2"}]}
        rows = fetched(src, "encounters", window("2024-03-08", "2024-03-09"))
    assert ids(rows) == ["e3", "e4", "e5", "e3", "e4"]


def test_the_credentials_are_tried_by_an_export_that_is_cancelled(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        assert CONNECTOR.probe(src) == "answers; an export was started and cancelled"
        assert vendor.removed == ["j1"]
        with pytest.raises(AuthError, match="mend `token` of the source"):
            CONNECTOR.probe(src.model_copy(update={"token": None}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"token": TOKEN}, "credentials without base_url"),
        ({"base_url": "https://emr/fhir", "client_id": "x"}, "belong together"),
        (
            {
                "base_url": "https://emr/fhir",
                "token": "x",
                "client_id": "a",
                "client_secret": "b",
                "token_url": "https://emr/token",
            },
            "not both",
        ),
        ({"base_url": "https://emr/fhir", "export": "Observation/$export"}, "Group/<id>/\\$export"),
        ({"base_url": "https://emr/fhir", "resources": ["beds"]}, "unknown beds; there are patients"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        options("fhir", **settings)
    assert TOKEN not in str(refused.value)


def test_only_the_named_resources_have_a_route() -> None:
    def routes(**settings: Any) -> dict[str, str | None]:
        src = options("fhir", **settings)
        found = {s.name: CONNECTOR.route(src, s) for s in CONNECTOR.streams(src)}
        return {name: None if route is None else route.by for name, route in found.items()}

    assert set(routes().values()) == {None}
    assert set(routes(base_url="https://emr/fhir").values()) == {"change"}
    some = routes(base_url="https://emr/fhir", resources=["patients"], incremental=False)
    assert {name for name, by in some.items() if by == "whole"} == {"patients"}


def test_a_deleted_encounter_is_gone_and_a_full_export_forgets_what_nobody_announced(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    present = [date(2024, 3, 10)]
    monkeypatch.setattr(landing, "today", lambda _zone: present[0])
    with playing(vendor := Emr(TOKEN)) as server:
        config = tmp_path / "clinic.yaml"

        def night(**settings: Any) -> dict[str, bool | None]:
            lines = [
                "clinic: {name: C, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}",
                "sources:",
                f"  emr: {json.dumps({'kind': 'fhir', 'base_url': server.url + '/fhir', **settings})}",
            ]
            config.write_text("\n".join(lines))
            clinic = load_clinic(config, tmp_path / "data")
            emr_options = clinic.sources["emr"].model_copy(update={"token": source(server.url).token})  # type: ignore[attr-defined]
            clinic = clinic.model_copy(update={"sources": {"emr": emr_options}})
            run = Landing(clinic, Privacy(b"k" * 32, "HR"))
            run.prepare()
            records = run.land("fhir", "encounters")
            assert [r.error for r in records if r.status == "failed"] == []
            folder = tmp_path / "data/landing/fhir/encounters/source=emr"
            live = json.loads((folder / "manifest.json").read_text())["files"]
            rows = duckdb.sql(
                f"select encounter_id, is_deleted from read_parquet({[str(folder / f) for f in live]})"
            )
            return dict(rows.fetchall())

        assert night() == dict.fromkeys(["e1", "e2", "e3", "e4", "e5"])
        assert "_since" not in vendor.asked[-1]
        # the next night: one changed, one announced as deleted, one gone without a word
        present[0] = date(2024, 3, 11)
        vendor.now = "2024-03-11T02:00:00Z"
        vendor.resources = [r for r in vendor.resources if r["id"] not in ("e1", "e2")]
        vendor.deleted = [("Encounter", "e1", "2024-03-10T10:00:00Z")]
        assert night() == {"e1": True, **dict.fromkeys(["e2", "e3", "e4", "e5"])}
        assert vendor.asked[-1]["_since"] == "2024-03-09T00:00:00+01:00"
        present[0] = date(2024, 3, 12)
        vendor.now = "2024-03-12T02:00:00Z"
        assert night(incremental=False) == dict.fromkeys(["e3", "e4", "e5"])
        assert len(vendor.removed) == len(vendor.jobs) == 3


def test_since_is_the_local_midnight_of_a_day_of_23_hours(pauses: list[float]) -> None:
    with emr() as (vendor, src):
        vendor.now = "2024-04-03T00:00:00Z"
        fetched(src, "encounters", Window(date(2024, 4, 1), date(2024, 4, 2), ZONE))
    assert vendor.asked[0]["_since"] == "2024-04-01T00:00:00+02:00"
