"""Writes a world as the vendors' own export files, the clinic's reference files and its clinic.yaml.

Shapes are those of real exports: the Calltouch calls journal (paged answers and bare arrays), the Google
Ads campaign report by day and a saved click_view answer, a Yandex Direct TSV report, the GA4 BigQuery
export as gzipped NDJSON by day, and a clinic system's semicolon-separated Windows-1251 lists. File times
are set to when an export would have been made, since the newer of two exports wins. Equal worlds give
byte-identical files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from simulator import clinic
from simulator.config import CLINIC_YAML
from simulator.keywords import click_keywords, reports
from simulator.model import (
    MINUTE,
    US,
    Campaign,
    Card,
    Contact,
    Line,
    Observation,
    Origin,
    Session,
    Spend,
    Visit,
    World,
    end_of_day,
    instant,
    local,
    local_day,
)
from simulator.shifts import rota

_UNSET: Final = "<не указано>"
_PAGE: Final = 1000
_GA_PROPERTY_FIRST: Final = 2_110_000_000
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
                  "October", "November", "December")  # fmt: skip
_AGENTS: Final = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/121.0.0.0 Safari/537.36",
)
# The month whose calls are exported again with what people corrected.
_RESTATED_MONTH: Final = 2


class Exporter:
    """Writes one world, as it was recorded, below one folder. Ad platforms know what truly happened."""

    def __init__(self, world: World, out: Path, happened: World | None = None) -> None:
        self._world = world
        self._happened = happened or world
        self._out = out
        self._inbox = out / "data" / "inbox"
        self.files = 0

    def write(self) -> int:
        """Write everything. Returns the number of export files."""
        self._calltouch()
        self._google_ads()
        self._clicks()
        self._keywords()
        self._yandex()
        self._meta()
        self._ga4()
        self._cost_sheet()
        self._mis()
        self._online()
        self._payroll()
        self._reference()
        self._put(self._out / "clinic.yaml", CLINIC_YAML.encode(), self._world.end)
        return self.files

    # files

    def _put(self, path: Path, data: bytes, made_on: date, hour: int = 6) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        made = instant(made_on + timedelta(days=1), hour) // US
        os.utime(path, (made, made))

    def _export(self, source: str, stream: str, name: str, data: bytes, made_on: date, hour: int = 6) -> None:
        """An export made on the morning after a day."""
        self._put(self._inbox / source / stream / name, data, made_on, hour)
        self.files += 1

    def _by_month(self, moments: Iterable[tuple[int, Any]]) -> dict[date, list[Any]]:
        """Things by the first day of their local month, months in order."""
        found: dict[date, list[Any]] = defaultdict(list)
        for at, thing in moments:
            found[local_day(at).replace(day=1)].append(thing)
        return dict(sorted(found.items()))

    # Calltouch

    def _calltouch(self) -> None:
        """Monthly paged answers; the last days as bare arrays of one day; one month exported again later."""
        calls = sorted(
            (c for c in self._world.contacts if c.kind == "call"), key=lambda c: (c.at, c.contact_id)
        )
        vendor = _Calltouch(self._world)
        records = {call.contact_id: vendor.record(call) for call in calls}
        last_month = self._world.end.replace(day=1)
        for index, (month, group) in enumerate(self._by_month((c.at, c) for c in calls).items()):
            made_on = min(_month_end(month), self._world.end)
            if month == last_month:
                days: dict[date, list[Contact]] = defaultdict(list)
                for call in group:
                    days[local_day(call.at)].append(call)
                for day, of_day in sorted(days.items()):
                    body = [vendor.current(records[c.contact_id]) for c in of_day]
                    self._export("calltouch", "calls", f"calls-{day}.json", _json(body), day)
                continue
            first = [vendor.first_export(c, records[c.contact_id]) for c in group]
            self._pages(f"calls-{month:%Y-%m}", first, made_on)
            if index == _RESTATED_MONTH or any(c.restated_target is not None for c in group):
                again = [vendor.current(records[c.contact_id]) for c in group]
                self._export(
                    "calltouch",
                    "calls",
                    f"calls-{month:%Y-%m}-again.json",
                    _json(again),
                    made_on + timedelta(days=20),
                )

    def _pages(self, name: str, records: list[dict[str, Any]], made_on: date) -> None:
        pages = max(1, -(-len(records) // _PAGE))
        for page in range(1, pages + 1):
            body = {
                "page": page,
                "pageTotal": pages,
                "pageSize": _PAGE,
                "recordsTotal": len(records),
                "records": records[(page - 1) * _PAGE : page * _PAGE],
            }
            self._export("calltouch", "calls", f"{name}-page{page}.json", _json(body), made_on)

    # ad platforms

    def _google_ads(self) -> None:
        """The interface's campaign report segmented by day, by month; one month again after a renaming."""
        rows = [s for s in self._world.spend if s.campaign.platform == "google"]
        renamed = [
            c.names[-1][0] for c in self._world.campaigns if len(c.names) > 1 and c.platform == "google"
        ]
        for month, group in self._by_month((instant(s.day), s) for s in rows).items():
            last = min(_month_end(month), self._world.end)
            self._export(
                "google_ads",
                "ad_spend",
                f"campaigns_{month:%Y-%m}.csv",
                _google_report(group, month, last, named_on=last),
                last,
            )
            if any(month <= day <= last for day in renamed):
                self._export(
                    "google_ads",
                    "ad_spend",
                    f"campaigns_{month:%Y-%m}_v2.csv",
                    _google_report(group, month, last, named_on=self._world.end),
                    last + timedelta(days=9),
                )
                before = (month - timedelta(days=1)).replace(day=1)
                early = [s for s in rows if s.day.replace(day=1) == before]
                if early:  # an overlapping file of two months, every campaign under its newest name
                    self._export(
                        "google_ads",
                        "ad_spend",
                        f"campaigns_{before:%Y-%m}_{month:%Y-%m}.csv",
                        _google_report(early + group, before, last, named_on=self._world.end),
                        last + timedelta(days=12),
                    )

    def _clicks(self) -> None:
        """Saved searchStream answers of click_view: the batches of each day's request, a file a month."""
        rng = random.Random(f"{self._world.seed}/clicks")
        keywords = click_keywords(self._happened)
        months: dict[date, dict[date, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for click, day, campaign in self._world.clicks:
            months[day.replace(day=1)][day].append(_click(click, day, campaign, keywords.get(click)))
        mask = (
            "clickView.gclid,clickView.keywordInfo.text,campaign.id,adGroup.id,segments.date,segments.device"
        )
        for month, days in sorted(months.items()):
            batches = [
                {"results": rows, "fieldMask": mask, "requestId": f"r{rng.randrange(10**12)}"}
                for _, rows in sorted(days.items())
            ]
            made_on = min(_month_end(month), self._world.end)
            self._export("google_ads", "clicks", f"click_view_{month:%Y-%m}.json", _json(batches), made_on)

    def _keywords(self) -> None:
        """Spend by keyword, beside the campaign reports that hold all of it."""
        for source, name, data, made_on in reports(self._world):
            self._export(source, "ad_spend", name, data, made_on)

    def _yandex(self) -> None:
        """Campaign reports as TSV with title and row count, a file a month."""
        rows = [s for s in self._world.spend if s.campaign.platform == "yandex"]
        for month, group in self._by_month((instant(s.day), s) for s in rows).items():
            last = min(_month_end(month), self._world.end)
            lines = [
                f"campaigns_{month:%Y-%m} ({month} - {last})",
                "Date\tCampaignId\tCampaignName\tCampaignType\tImpressions\tClicks\tCost\tConversions",
            ]
            for spend in sorted(group, key=lambda s: (s.day, s.campaign.campaign_id)):
                name = spend.campaign.name_on(last)
                lines.append(
                    "\t".join(
                        (
                            spend.day.isoformat(),
                            spend.campaign.campaign_id,
                            name,
                            "TEXT_CAMPAIGN",
                            str(spend.impressions),
                            str(spend.clicks),
                            f"{spend.cents / 100:.2f}",
                            "--",
                        )
                    )
                )
            lines.append(f"Total rows: {len(group)}")
            self._export(
                "yandex_direct",
                "ad_spend",
                f"campaigns_{month:%Y-%m}.tsv",
                ("\n".join(lines) + "\n").encode(),
                last,
            )

    def _meta(self) -> None:
        """Facebook's spend by day as the agency's own CSV, in dollars."""
        rows = [s for s in self._world.spend if s.campaign.platform == "facebook"]
        for month, group in self._by_month((instant(s.day), s) for s in rows).items():
            last = min(_month_end(month), self._world.end)
            text = io.StringIO()
            out = csv.writer(text, lineterminator="\r\n")
            out.writerow(
                (
                    "Platform",
                    "Account ID",
                    "Day",
                    "Campaign ID",
                    "Campaign name",
                    "Objective",
                    "Impressions",
                    "Link clicks",
                    "Amount spent (USD)",
                    "Currency",
                    "Results",
                )
            )
            for s in sorted(group, key=lambda s: (s.day, s.campaign.campaign_id)):
                out.writerow(
                    (
                        "facebook",
                        s.campaign.account,
                        s.day,
                        s.campaign.campaign_id,
                        s.campaign.name,
                        "social",
                        s.impressions,
                        s.clicks,
                        f"{s.cents / 100:.2f}",
                        "USD",
                        "",
                    )
                )
            self._export(
                "meta", "ad_spend", f"ads-{month:%Y-%m}.csv", b"\xef\xbb\xbf" + text.getvalue().encode(), last
            )

    def _cost_sheet(self) -> None:
        """The marketing sheet, a file a year; a line that changed stands again in the newer file."""
        years: dict[int, list[Any]] = defaultdict(list)
        for line in self._world.costs:
            years[line.starts.year].append(line)
        header = ("cost_id", "channel", "source", "campaign", "starts_on", "ends_on", "amount", "currency")
        for index, (year, lines) in enumerate(sorted(years.items())):
            text = io.StringIO()
            out = csv.writer(text, lineterminator="\n")
            out.writerow(header)
            if index == 0:
                # Planned at another amount first; the sheet of the next year corrects it.
                changed = lines[0]
            for line in lines:
                cents = (
                    line.cents + 5_000 if index == 0 and line is changed and len(years) > 1 else line.cents
                )
                out.writerow(_cost_row(line, cents))
            if index == 1:
                out.writerow(_cost_row(changed, changed.cents))
            made = min(date(year, 12, 31), self._world.end)
            self._export("marketing", "other_costs", f"costs-{year}.csv", text.getvalue().encode(), made)

    # web

    def _ga4(self) -> None:
        """The BigQuery export's daily tables, events_YYYYMMDD, gzipped."""
        lines: dict[date, list[str]] = defaultdict(list)
        writer = _GA4(self._world)
        for session in self._world.sessions:
            for at, line in writer.events(session):
                lines[local_day(at)].append(line)
        for day, line in writer.cookieless():
            lines[day].append(line)
        for day, group in sorted(lines.items()):
            data = gzip.compress(("\n".join(group) + "\n").encode(), compresslevel=5, mtime=0)
            self._export("site", "events", f"events_{day:%Y%m%d}.ndjson.gz", data, day, hour=16)

    # the clinic's system

    def _mis(self) -> None:
        """Visits by branch and month, planned appointments, the patient index and the cash book."""
        writer = _Mis(self._world)
        months: dict[tuple[date, str], list[Visit]] = defaultdict(list)
        for visit in self._world.visits:
            months[local_day(visit.scheduled_at).replace(day=1), visit.branch].append(visit)
        for (month, branch), group in sorted(months.items()):
            made_on = min(_month_end(month), self._world.end)
            group.sort(key=lambda v: (v.scheduled_at, v.visit_id))
            name = f"priemy_{branch.lower()}_{month:%Y-%m}"
            self._export("mis", "visits", f"{name}.csv", writer.visits(group, is_first=True), made_on)
            again = [v for v in group if v.first_export is not None or v.first_status is not None]
            if again:  # corrected rows come again in a later, smaller export
                self._export(
                    "mis",
                    "visits",
                    f"{name}_ispravleno.csv",
                    writer.visits(again, is_first=False),
                    made_on + timedelta(days=4),
                )
        if self._world.planned:
            self._export(
                "mis", "appointments", "zapisi.csv", writer.appointments(self._world.planned), self._world.end
            )
        self._export("mis", "patients", "kartoteka.csv", writer.patients(), self._world.end)
        for month, payments in self._by_month((p.paid_at, p) for p in self._world.payments).items():
            self._export(
                "mis",
                "payments",
                f"kassa_{month:%Y-%m}.csv",
                writer.payments(payments),
                min(_month_end(month), self._world.end),
            )

    def _online(self) -> None:
        """Chats, forms, messages, bookings and CRM leads by month; reviews in one file. UTF-8, commas."""
        contacts = sorted(
            (c for c in self._world.contacts if c.kind != "call"), key=lambda c: (c.at, c.contact_id)
        )
        for month, group in self._by_month((c.at, c) for c in contacts).items():
            self._export(
                "online",
                "contacts",
                f"requests-{month:%Y-%m}.csv",
                _contact_rows(group),
                min(_month_end(month), self._world.end),
            )
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(("review", "written", "stars", "doctor", "branch", "site", "author", "text"))
        for review in self._world.reviews:
            out.writerow(
                (
                    review.review_id,
                    f"{local(review.at):%Y-%m-%d %H:%M:%S}",
                    review.rating,
                    review.doctor,
                    review.branch,
                    review.platform,
                    "A. Nonym",
                    review.text,
                )
            )
        self._export("online", "reviews", "reviews.csv", text.getvalue().encode(), self._world.end)

    def _payroll(self) -> None:
        """What was paid, a file a month."""
        months: dict[date, list[Observation]] = defaultdict(list)
        for observation in self._world.observations:
            if observation.metric == "wage":
                months[observation.day.replace(day=1)].append(observation)
        for month, group in sorted(months.items()):
            text = io.StringIO()
            out = csv.writer(text, lineterminator="\n")
            out.writerow(("day", "what", "about", "name", "amount"))
            out.writerows(
                (o.day, o.metric, o.scope, o.scope_value, f"{o.hundredths // 100}.{o.hundredths % 100:02d}")
                for o in group
            )
            self._export(
                "payroll",
                "metric_observations",
                f"payroll-{month:%Y-%m}.csv",
                text.getvalue().encode(),
                min(_month_end(month), self._world.end),
            )

    # reference files

    def _reference(self) -> None:
        world = self._world
        names = {c.key: c.name for c in world.campaigns}
        branch_and_line = [
            (names[key], branch or "", line or "", "") for key, (branch, line) in clinic.CAMPAIGN_MAP.items()
        ]
        branch_and_line.append((clinic.BILLBOARD_CAMPAIGN, "Maksimir", "", ""))
        self._table("campaign_map", ("campaign", "branch", "service_line", "budget_role"), branch_and_line)
        self._table(
            "campaign_aliases",
            ("alias", "campaign"),
            [(alias, names[key]) for alias, key in clinic.ALIASES.items()],
        )
        self._table(
            "tracking_numbers",
            ("number", "channel", "source", "campaign", "valid_from", "valid_to"),
            [
                (n.number, n.channel, n.source, n.campaign or "", n.valid_from or "", n.valid_to or "")
                for n in world.tracking
            ],
        )
        self._table(
            "self_reported_map",
            ("text", "channel"),
            [(text, channel) for text, channel in clinic.SELF_REPORTED.items() if channel is not None],
        )
        self._table(
            "services",
            ("service", "group", "care_setting", "specialty", "list_price", "margin_share"),
            [
                (name, group, setting, specialty, f"{cents / 100:.2f}", share)
                for name, (group, setting, specialty, cents, share) in clinic.SERVICES.items()
            ],
        )
        self._table(
            "targets",
            ("metric", "scope", "scope_value", "baseline", "value", "is_relative", "starts_on", "due_on",
             "owner", "horizon"),
            [
                (t.metric, t.scope, t.scope_value, "" if t.baseline is None else t.baseline, t.value,
                 str(t.is_relative).lower(), t.starts or "", t.due or "", t.owner or "", t.horizon or "")
                for t in world.targets
            ],
        )  # fmt: skip
        self._table(
            "fx_rates",
            ("rate_date", "currency", "rate"),
            [
                (day, currency, f"{rate / 1_000_000:.6f}")
                for (currency, day), rate in sorted(world.rates.items())
            ],
        )
        self._table(
            "patient_merges",
            ("patient_id", "into_patient_id"),
            [(card.card, card.merged_into) for card in world.cards.values() if card.merged_into is not None],
        )
        self._table(
            "shifts",
            ("resource", "doctor", "room", "branch", "starts_at", "ends_at"),
            [shift.written for shift in rota(world).shifts],
        )

    def _table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)
        self._put(self._out / "data" / "reference" / f"{name}.csv", text.getvalue().encode(), self._world.end)


def _month_end(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _query(origin: Origin) -> str:
    """The tags of a landing page's address."""
    tags: dict[str, str | None] = {}
    if origin.style not in ("params", "collected", "referrer", "direct") and origin.tag_campaign is not None:
        tags |= {
            "utm_source": origin.tag_source,
            "utm_medium": origin.tag_medium,
            "utm_campaign": origin.tag_campaign,
            "utm_term": origin.term,
            "utm_id": origin.campaign_id,
        }
    if origin.click_type is not None and origin.click_id is not None:
        tags[origin.click_type] = origin.click_id
    return urlencode({key: value for key, value in tags.items() if value is not None}, quote_via=quote)


# --- Calltouch ---------------------------------------------------------------------------------------


class _Calltouch:
    """Calls as the API's journal gives them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/calltouch")
        self._seen: set[str] = set()

    def record(self, call: Contact) -> dict[str, Any]:
        """The journal's 62 fields. Times of `date` are the project's, `timestamp` is the instant."""
        rng = self._rng
        number = (call.dialled or rng.choice(clinic.POOL)).removeprefix("+")
        is_offline = call.dialled is not None
        is_new = call.phone is not None and call.phone not in self._seen
        if call.phone is not None:
            self._seen.add(call.phone)
        session = None if is_offline else call.session
        origin = _UNTAGGED if is_offline or call.own is None else call.own
        serial = int(call.contact_id)
        if is_offline:
            source, medium, keyword = number, "offline", _UNSET
            utm = (number, "offline", number, "<не заполнено>", "<не заполнено>")
        else:
            source, medium, utm = _resolved(origin)
            keyword = origin.term or ("(not provided)" if medium == "organic" else "(not set)")
        query = "" if is_offline else _query(origin)
        if query and call.phone is not None and rng.random() < 0.05:  # what a form put into the address
            query += f"&tel=0{call.phone.removeprefix('+385')}&ime={rng.choice(clinic.SURNAMES)}"
        path = session.path if session is not None else "/"
        page = None if is_offline else f"https://{clinic.SITE_HOST}{path}" + (f"?{query}" if query else "")
        moment = local(call.at)
        started = local(session.started_at if session is not None else call.at - 5 * MINUTE)
        has_ids = session is not None or call.visitor is not None
        client = (session.visitor if session is not None else call.visitor) if not is_offline else None
        tracked = not is_offline
        return {
            "callId": serial,
            "callphase": "calldisconnected",
            "attribution": 1,
            "callTags": [
                {
                    "category": "",
                    "type": "AUTO-PN",
                    "names": ["статика"] if is_offline else ["звонок", "динамика"],
                },
                *({"category": "", "type": kind, "names": [name]} for kind, name in call.tags),
            ],
            "date": f"{moment:%d/%m/%Y %H:%M:%S}",
            "duration": call.talk if call.answered else rng.choice((0, 0, 3, -30)),
            "callerNumber": self._caller(call),
            "redirectNumber": f"sip:{number}@192.0.2.10" if rng.random() < 0.3 else "38515550100",
            "phoneNumber": number,
            "manager": call.operator,
            "successful": call.answered,
            "uniqueCall": is_new,
            "targetCall": call.target,
            "uniqTargetCall": is_new and call.target,
            "callbackCall": call.direction == "callback",
            "city": None if is_offline else "zagreb",
            "source": source,
            "medium": medium,
            "keyword": keyword,
            "url": page,
            "callUrl": page,
            "ref": origin.referrer,
            "hostname": None if is_offline else "northgate-ent.example",
            "utmSource": utm[0],
            "utmMedium": utm[1],
            "utmCampaign": utm[2],
            "utmContent": utm[3],
            "utmTerm": utm[4],
            "sessionId": 1_900_000_000 + serial % 90_000_000 if tracked else None,
            "ctCallerId": f"{rng.getrandbits(128):032x}",
            "clientId": client if has_ids else None,
            "yaClientId": None,
            # Without the web counter's id there is no session to meet, so Calltouch's own would tie nothing.
            "ctClientId": 800_000_000_000_000_000 + serial if tracked else None,
            "sipCallId": f"{rng.getrandbits(64):016x}-1cb9-123d",
            "userAgent": rng.choice(_AGENTS) if tracked else None,
            "ip": f"203.0.113.{rng.randint(1, 254)}" if tracked else None,
            "waitingConnect": call.wait,
            "callReferenceId": None,
            "mapVisits": None,
            "attrs": None,
            "comments": self._comments(),
            "phrases": None,
            "additionalTags": [],
            "callClientUniqueId": None,
            "device": "smartphone" if tracked else None,
            "os": "Android" if tracked else None,
            "browser": "Chrome" if tracked else None,
            "timestamp": call.at // US,
            "sessionDate": f"{started:%d/%m/%Y %I:%M:%S}" if tracked else None,
            "orders": [],
            "order": None,
            "yandexDirect": None,
            "googleAdWords": self._ads(origin) if tracked else None,
            "siteId": 10_001,
            "siteName": "northgate-ent.example",
            "callbackInfo": self._callback(call),
            "ctGlobalId": None,
            "dcm": None,
            "phonesInText": None,
            "subPoolName": number if is_offline else "Остальные",
            "statusDetails": "Connected. The disconnect came from the callers side"
            if call.answered
            else "The call was not accepted by the caller",
            "customFields": None,
        }

    def _comments(self) -> list[dict[str, Any]] | None:
        """Free text about people, which nothing may keep."""
        rng = self._rng
        if rng.random() > 0.05:
            return None
        name = f"{rng.choice(clinic.GIVEN['female'])} {rng.choice(clinic.SURNAMES)}"
        text = f"Nazvati: {name}, {rng.choice(clinic.STREETS)}"
        self._world.personal.add(text)
        return [
            {"commentId": rng.randrange(10**6), "comment": text, "partyId": 1, "partyName": "Call centre"}
        ]

    def _caller(self, call: Contact) -> str | None:
        if call.phone is not None:
            return call.phone.removeprefix("+")
        return self._rng.choice(("anonymous", "", "Anonymous", "0", None))

    def _ads(self, origin: Origin) -> dict[str, Any] | None:
        if origin.style != "google_ads" or origin.campaign_id is None:
            return None
        return {
            "campaignId": int(origin.campaign_id),
            "adGroupId": 150_000_000_001,
            "creativeId": None,
            "criteriaId": None,
        }

    def _callback(self, call: Contact) -> dict[str, Any] | None:
        if call.callback_ref is None:
            return None
        return {
            "callbackRequestId": call.callback_ref,
            "callbackFinalAttempt": call.answered,
            "leadId": None,
            "adId": None,
            "leadsCampaignName": None,
            "fields": [],
        }

    def current(self, record: dict[str, Any]) -> dict[str, Any]:
        """The journal as it stands: tags that people set days later are there."""
        return record

    def first_export(self, call: Contact, record: dict[str, Any]) -> dict[str, Any]:
        """The journal as it stood on the first export: no later tags, the old target flag."""
        if call.restated_target is None:
            return record
        return {**record, "targetCall": call.restated_target, "uniqTargetCall": False, "callTags": []}


_UNTAGGED: Final = Origin("unassigned", "", None, "none")


def _resolved(origin: Origin) -> tuple[str, str, tuple[str, str, str, str, str]]:
    """(source, medium, the five UTM values) as Calltouch resolves a web session."""
    unset = (_UNSET, _UNSET, _UNSET, _UNSET, _UNSET)
    if origin.style == "direct":
        return "(direct)", "(none)", unset
    if origin.style == "referrer":
        return "google", "organic", unset
    source, medium = origin.tag_source, origin.tag_medium
    if source is None or medium is None:
        return _UNSET, _UNSET, unset
    if (
        origin.tag_campaign is None
        or origin.style in ("collected", "referrer")
        or medium in ("organic", "referral")
    ):
        return source, medium, unset
    return source, medium, (source, medium, origin.tag_campaign, _UNSET, origin.term or _UNSET)


# --- Google Ads --------------------------------------------------------------------------------------

_GOOGLE_KINDS: Final = {"search": "Search", "display": "Display", "video": "Video"}


def _google_report(rows: Sequence[Spend], first: date, last: date, *, named_on: date) -> bytes:
    """The campaign report of the interface: preamble, header, rows by day, totals at the end."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    text.write("Campaign report\n")
    text.write(f'"{_long(first)} - {_long(last)}"\n')
    out.writerow(
        (
            "Campaign status",
            "Campaign",
            "Day",
            "Campaign ID",
            "Budget name",
            "Campaign type",
            "Currency code",
            "Impr.",
            "Clicks",
            "CTR",
            "Avg. CPC",
            "Cost",
            "Conversions",
        )
    )
    for spend in sorted(rows, key=lambda s: (s.campaign.campaign_id, s.day)):
        out.writerow(
            (
                "Enabled",
                spend.campaign.name_on(named_on),
                spend.day,
                spend.campaign.campaign_id,
                " --",
                _GOOGLE_KINDS[spend.campaign.kind],
                "EUR",
                *_figures([spend]),
            )
        )
    for label, group in (
        ("Campaigns", rows),
        ("Account", rows),
        *((kind, [s for s in rows if s.campaign.kind == key]) for key, kind in _GOOGLE_KINDS.items()),
    ):
        out.writerow((f"Total: {label}", " --", " --", " --", " --", "", "EUR", *_figures(group)))
    return text.getvalue().encode()


def _figures(rows: Sequence[Spend]) -> tuple[str, ...]:
    """Impressions and clicks with thousands' commas, cost without: as the interface prints them."""
    impressions, clicks = sum(s.impressions for s in rows), sum(s.clicks for s in rows)
    cents = sum(s.cents for s in rows)
    rate = f"{100 * clicks / impressions:.2f}%" if impressions else " --"
    return (
        f"{impressions:,}",
        f"{clicks:,}",
        rate,
        f"{cents / 100 / clicks:.2f}" if clicks else " --",
        f"{cents // 100}.{cents % 100:02d}",
        f"{clicks / 20:,.2f}",
    )


def _long(day: date) -> str:
    return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"


def _click(click: str, day: date, campaign: Campaign, keyword: str | None) -> dict[str, Any]:
    view: dict[str, Any] = {
        "resourceName": f"customers/1234567890/clickViews/{day}~{click}",
        "gclid": click,
    }
    if keyword is not None:
        view["keywordInfo"] = {"text": keyword}
    return {
        "clickView": view,
        "campaign": {
            "resourceName": f"customers/1234567890/campaigns/{campaign.campaign_id}",
            "id": campaign.campaign_id,
        },
        "adGroup": {"id": "150000000001"},
        "segments": {"date": day.isoformat(), "device": "MOBILE"},
    }


def _cost_row(line: Any, cents: int) -> tuple[object, ...]:
    sign = "-" if cents < 0 else ""
    amount = f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
    return (
        line.cost_id,
        line.channel,
        line.source,
        line.campaign,
        line.starts,
        line.ends,
        amount,
        line.currency,
    )


# --- GA4 ---------------------------------------------------------------------------------------------


class _GA4:
    """Events of the BigQuery export, as JSON lines. Whole numbers are text, as BigQuery writes INT64."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/ga4")
        self._first: dict[str, Session] = {}
        for session in world.sessions:
            known = self._first.get(session.visitor)
            if known is None or session.started_at < known.started_at:
                self._first[session.visitor] = session

    def events(self, session: Session) -> list[tuple[int, str]]:
        """(instant, line) of every event of a session."""
        rng = self._rng
        common = self._common(session)
        moments = [session.started_at]
        if session.pages > 1:
            moments += sorted(
                session.started_at + 1 + rng.randrange(max(session.length, 2))
                for _ in range(session.pages - 2)
            )
            moments.append(session.started_at + max(session.length, 1))
        found = []
        for index, at in enumerate(moments):
            path = session.path if index == 0 else rng.choice(clinic.PATHS)
            found.append((at, self._line(session, at, "page_view", path, common, is_first=index == 0)))
        return found

    def _common(self, session: Session) -> dict[str, Any]:
        first = self._first[session.visitor]
        origin = first.origin
        return {
            "user_pseudo_id": session.visitor,
            "user_id": session.user,
            "user_first_touch_timestamp": str(first.started_at),
            "privacy_info": {"analytics_storage": "Yes", "ads_storage": "Yes", "uses_transient_token": "No"},
            "device": {
                "category": session.device,
                "operating_system": "Android" if session.device == "mobile" else "Windows",
                "language": "hr-hr",
                "web_info": {"browser": "Chrome", "hostname": clinic.SITE_HOST},
            },
            "geo": {
                "continent": "Europe",
                "country": "Croatia",
                "region": session.region,
                "city": session.city,
            },
            # First touch of the person, the same in all later sessions: not the session's own.
            "traffic_source": {
                "name": origin.tag_campaign or "(direct)",
                "medium": origin.tag_medium or "(none)",
                "source": origin.tag_source or "(direct)",
            },
            "stream_id": str(_GA_PROPERTY_FIRST),
            "platform": "WEB",
        }

    def _line(
        self, session: Session, at: int, name: str, path: str, common: dict[str, Any], *, is_first: bool
    ) -> str:
        origin = session.origin
        query = _query(origin) if is_first else self._typed()
        address = f"https://{clinic.SITE_HOST}{path}" + (f"?{query}" if query else "")
        params: list[dict[str, Any]] = [
            _integer("ga_session_id", session.ga_session),
            _integer("ga_session_number", session.number),
            _text("page_location", address),
            _text("page_title", "Northgate ENT"),
            _text("session_engaged", "1")
            if session.engaged and self._rng.random() < 0.5
            else _integer("session_engaged", int(session.engaged)),
        ]
        event: dict[str, Any] = {
            "event_date": f"{local(at):%Y%m%d}",
            "event_timestamp": str(at),
            "event_name": name,
        }
        if is_first:
            params.append(_integer("entrances", 1))
            if origin.referrer is not None:
                params.append(_text("page_referrer", origin.referrer))
            if origin.style == "params":
                params += [_text("source", origin.tag_source), _text("medium", origin.tag_medium)]
                if origin.tag_campaign is not None:
                    params.append(_text("campaign", origin.tag_campaign))
                if origin.term is not None:
                    params.append(_text("term", origin.term))
        event["event_params"] = params
        event |= common
        if is_first:
            event |= _session_tags(origin)
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))

    def _typed(self) -> str:
        """What a badly built form puts into the address: personal data."""
        if self._rng.random() > 0.01:
            return ""
        mail = f"{self._rng.choice(clinic.SURNAMES).lower()}.{self._rng.randrange(10**4)}@posta0.example"
        self._world.personal.add(mail)
        return urlencode({"email": mail, "ime": self._rng.choice(clinic.SURNAMES)})

    def cookieless(self) -> list[tuple[date, str]]:
        """Pings of visitors who refused consent: no client id and no session, so they are no sessions."""
        found = []
        for day in self._world.days[::5]:
            at = instant(day, self._rng.randint(8, 21), self._rng.randrange(60)) + self._rng.randrange(US)
            event = {
                "event_date": f"{day:%Y%m%d}",
                "event_timestamp": str(at),
                "event_name": "page_view",
                "event_params": [_text("page_location", f"https://{clinic.SITE_HOST}/")],
                "user_pseudo_id": None,
                "privacy_info": {
                    "analytics_storage": "No",
                    "ads_storage": "No",
                    "uses_transient_token": "No",
                },
                "platform": "WEB",
            }
            found.append((day, json.dumps(event, separators=(",", ":"))))
        return found


def _text(key: str, value: str | None) -> dict[str, Any]:
    return {"key": key, "value": {"string_value": value}}


def _integer(key: str, value: int) -> dict[str, Any]:
    return {"key": key, "value": {"int_value": str(value)}}


def _session_tags(origin: Origin) -> dict[str, Any]:
    """The traffic-source records of a session's first event, by how the origin is carried."""
    manual = {
        "manual_source": origin.tag_source,
        "manual_medium": origin.tag_medium,
        "manual_campaign_name": origin.tag_campaign,
        "manual_campaign_id": origin.campaign_id,
        "manual_term": origin.term,
    }
    gclid = origin.click_id if origin.click_type == "gclid" else None
    if origin.style == "google_ads":
        return {
            "collected_traffic_source": {"gclid": gclid},
            "session_traffic_source_last_click": {
                "google_ads_campaign": {
                    "customer_id": "1234567890",
                    "account_name": "Northgate",
                    "campaign_id": origin.campaign_id,
                    "campaign_name": origin.campaign,
                }
            },
        }
    if origin.style == "manual":
        return {
            "collected_traffic_source": {**manual, "gclid": gclid},
            "session_traffic_source_last_click": {
                "manual_campaign": {
                    "campaign_id": origin.campaign_id,
                    "campaign_name": origin.tag_campaign,
                    "source": origin.tag_source,
                    "medium": origin.tag_medium,
                    "term": origin.term,
                }
            },
        }
    if origin.style == "cross":
        return {
            "session_traffic_source_last_click": {
                "cross_channel_campaign": {
                    "campaign_id": origin.campaign_id,
                    "campaign_name": origin.tag_campaign,
                    "source": origin.tag_source,
                    "medium": origin.tag_medium,
                }
            }
        }
    if origin.style == "collected":
        return {"collected_traffic_source": manual}
    if origin.style == "collected_gclid":
        return {"collected_traffic_source": {"gclid": gclid}}
    if origin.style == "gclid_url":
        # A known defect of the export: an ad click reported as an organic search.
        return {
            "collected_traffic_source": {
                "manual_source": "google",
                "manual_medium": "organic",
                "manual_campaign_name": "(organic)",
            }
        }
    return {}


# --- the clinic's system -----------------------------------------------------------------------------

_VISIT_HEADER: Final = (
    "№ приема", "№ записи", "№ карты", "ФИО", "Дата рождения", "Пол", "Телефон", "E-mail", "Адрес",
    "Дата регистрации", "Откуда узнали", "Записан", "Назначено", "Дата приема", "Филиал", "Кабинет", "Врач",
    "Диагноз", "Тип", "Первичный", "Статус", "№ строки", "Услуга", "Сумма", "Оплачено", "Возврат",
    "Дата оплаты", "Плательщик", "Заявка", "ClientID", "UserID", "Комментарий", "Минут",
)  # fmt: skip


class _Mis:
    """Lists of the clinic's system: Windows-1251, semicolons, decimal commas, local times to the minute."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/mis")
        self._minutes = rota(world).minutes

    def visits(self, visits: Sequence[Visit], *, is_first: bool) -> bytes:
        """One row per service of a visit, with other row types and a total line as such lists have them."""
        rows: list[Sequence[str]] = []
        total = 0
        for visit in visits:
            lines = visit.first_export if is_first and visit.first_export is not None else visit.lines
            for number, line in enumerate(lines, start=1):
                rows.append(self._visit_row(visit, line, number, is_first=is_first))
                total += line.amount
            if is_first and self._rng.random() < 0.03:
                rows.append(self._consultation_by_phone(visit))
        if is_first:
            rows.append(("Итого", *("" for _ in range(22)), _money(total), *("" for _ in range(9))))
        title = f"Список приемов за период по {max(local_day(v.scheduled_at) for v in visits):%d.%m.%Y}"
        return _semicolons([(title,), _VISIT_HEADER, *rows])

    def _visit_row(self, visit: Visit, line: Line, number: int, *, is_first: bool) -> Sequence[str]:
        card = self._world.cards[visit.card]
        status = visit.first_status if is_first and visit.first_status is not None else visit.status
        text = visit.raw_status or clinic.STATUS_TEXT[status]
        primary = {True: "Да", False: "Нет", None: ""}[visit.says_primary]
        phone = self._phone(visit.phone) if visit.phone is not None else "; ".join(card.written)
        note = f"Звонить {card.name}" if self._rng.random() < 0.1 else ""
        return (
            visit.visit_id,
            visit.appointment_id,
            visit.card,
            card.name,
            f"{card.born:%d.%m.%Y}" if card.born else "",
            clinic.SEX_TEXT.get(card.sex or "", ""),
            phone,
            card.email or "",
            card.address or "",
            _moment(card.registered_at),
            card.self_reported or "",
            f"{visit.booked_on:%d.%m.%Y}" if visit.booked_on is not None else _moment(visit.booked_at),
            _moment(visit.scheduled_at),
            _moment(visit.scheduled_at),
            visit.branch,
            visit.room,
            visit.doctor,
            visit.diagnosis or "",
            "Прием",
            primary,
            text,
            str(number),
            line.service,
            _money(line.amount),
            _money(line.paid),
            _money(line.refund),
            _moment(line.paid_at),
            clinic.PAYER_TEXT[line.payer],
            visit.contact_ref or "",
            (visit.visitor_id or "").removeprefix("ga:"),
            visit.user or "",
            note,
            _whole(self._minutes[visit.appointment_id]),
        )

    def _phone(self, phone: str) -> str:
        self._world.personal.update((phone, phone.removeprefix("+")))
        return phone

    def _consultation_by_phone(self, visit: Visit) -> Sequence[str]:
        """A row of another type, which the mapping must leave out, money and all."""
        row = list(self._visit_row(visit, Line("ENT consultation", 99_999, paid=99_999), 1, is_first=False))
        row[0], row[18], row[20] = f"T{visit.visit_id}", "Телефонная консультация", "Выполнен"
        return row

    def appointments(self, planned: Sequence[Visit]) -> bytes:
        """Appointments that lie after the last exported day."""
        header = (
            "№ записи",
            "№ карты",
            "Записан",
            "Назначено",
            "Филиал",
            "Врач",
            "Услуга",
            "Минут",
            "Статус",
            "Заявка",
        )
        return _semicolons(
            [
                header,
                *(
                    (
                        v.appointment_id,
                        v.card,
                        _moment(v.booked_at),
                        _moment(v.scheduled_at),
                        v.branch,
                        v.doctor,
                        v.lines[0].service,
                        _whole(self._minutes[v.appointment_id]),
                        clinic.STATUS_TEXT[v.status],
                        v.contact_ref or "",
                    )
                    for v in planned
                ),
            ]
        )

    def patients(self) -> bytes:
        """The patient index, duplicates included."""
        header = (
            "№ карты",
            "ФИО",
            "Дата рождения",
            "Пол",
            "Телефон",
            "E-mail",
            "Адрес",
            "Дата регистрации",
            "Откуда узнали",
            "Объединена с",
        )
        return _semicolons([header, *(self._index_row(c) for c in self._world.cards.values() if c.in_index)])

    def _index_row(self, card: Card) -> Sequence[str]:
        return (
            card.card,
            card.name,
            f"{card.born:%d.%m.%Y}" if card.born else "",
            clinic.SEX_TEXT.get(card.sex or "", ""),
            "; ".join(card.written),
            card.email or "",
            card.address or "",
            _moment(card.registered_at),
            card.self_reported or "",
            "",
        )

    def payments(self, payments: Sequence[Any]) -> bytes:
        """The cash book: money outside the visits' own rows, refunds negative."""
        header = ("№ платежа", "№ карты", "№ приема", "Дата оплаты", "Сумма", "Плательщик")
        return _semicolons(
            [
                header,
                *(
                    (
                        p.payment_id,
                        p.card,
                        p.visit_id or "",
                        _moment(p.paid_at),
                        _money(p.amount),
                        clinic.PAYER_TEXT[p.payer],
                    )
                    for p in sorted(payments, key=lambda p: (p.paid_at, p.payment_id))
                ),
            ]
        )


def _semicolons(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("cp1251")


def _money(cents: int) -> str:
    """A decimal comma, thousands apart by a no-break space: 1 234,56."""
    sign = "-" if cents < 0 else ""
    whole = f"{abs(cents) // 100:,}".replace(",", "\u00a0")
    return f"{sign}{whole},{abs(cents) % 100:02d}"


def _whole(number: int | None) -> str:
    return "" if number is None else str(number)


def _moment(at: int | None) -> str:
    """dd.mm.yyyy HH:MM, or only the day for an instant that stands for a whole day."""
    if at is None:
        return ""
    moment = local(at)
    if at == end_of_day(moment.date()):
        return f"{moment:%d.%m.%Y}"
    return f"{moment:%d.%m.%Y %H:%M}"


# --- requests of the site ----------------------------------------------------------------------------


def _contact_rows(contacts: Sequence[Contact]) -> bytes:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(
        (
            "id",
            "kind",
            "created",
            "name",
            "phone",
            "email",
            "message",
            "ga_client_id",
            "user",
            "appointment",
            "call",
            "request",
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_term",
            "utm_id",
            "click_type",
            "click_id",
            "page",
            "dialog",
            "valid",
            "left_contact",
            "booked",
            "missed",
            "agent",
            "clinic",
        )
    )
    for c in contacts:
        own = c.own
        tags: tuple[str, ...] = ("",) * 7
        if own is not None:
            source, medium, utm = _resolved(own)
            campaign = own.tag_campaign if own.style == "none" else None if utm[2] == _UNSET else utm[2]
            tags = (
                "" if source == _UNSET else source,
                "" if medium == _UNSET else medium,
                campaign or "",
                own.term or "",
            )
            tags = (*tags, own.campaign_id or "", own.click_type or "", own.click_id or "")
        query = _query(own) if own is not None else ""
        page = (
            f"https://{clinic.SITE_HOST}/booking?{query}" if query else f"https://{clinic.SITE_HOST}/booking"
        )
        flag = {True: "yes", False: "no"}
        out.writerow(
            (
                c.contact_id,
                c.kind,
                f"{local(c.at):%Y-%m-%d %H:%M:%S}",
                c.name or "",
                c.written_phone or "",
                c.email or "",
                c.message or "",
                f"ga:{c.visitor}" if c.visitor else "",
                c.user or "",
                c.appointment_ref or "",
                c.contact_ref or "",
                c.callback_ref or "",
                *tags,
                page,
                *(
                    flag[c.flags[name]]
                    for name in ("is_dialog", "is_valid", "is_contact_left", "is_booked", "is_missed")
                ),
                c.operator or "",
                c.branch or "",
            )
        )
    return text.getvalue().encode()
