"""`python -m benchmarks.kinds [--rows N] [kind …]`: how fast each kind of file is read and checked.

For every kind (all of them, unless some are named) an export of a million rows is written, then read and
checked as landing does, and read by DuckDB and by pandas: each in a process of its own, whose peak memory is
its own too. Imports do not count. Prints a table and writes benchmarks/results/kinds.json.

DuckDB and pandas only parse; this project also finds the header, trims, casts strictly, hashes phones and
adds up what is to be compared with printed totals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "kinds.json"
ROWS = 1_000_000
READERS = ("firstvisit", "duckdb", "pandas")


@dataclass(frozen=True)
class Sample:
    """An export: `head` with the header as its last line, one `row` a time, `tail`.

    The texts are filled in with `%` from `_values`. `between` stands between two rows (JSON arrays).
    """

    stream: str
    row: str
    head: str = ""
    tail: str = ""
    between: str = ""
    name: str = "export.csv"
    delimiter: str = ","
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_json(self) -> bool:
        """Whether pandas and DuckDB read it as JSON."""
        return ".csv" not in self.name and ".tsv" not in self.name


def _values(count: int) -> Iterator[dict[str, Any]]:
    """What rows are made of: as many different campaigns, callers and amounts as a large clinic has."""
    pick = random.Random(7)
    first = date(2024, 1, 1)
    dates = [first + timedelta(days=n) for n in range(540)]
    # From 1: no system numbers anything 0.
    for n in range(1, count + 1):
        day = dates[n % 540]
        cents, seconds = pick.randrange(1, 200_000), pick.randrange(86_400)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        yield {
            "n": n,
            "id": 1_728_545_382_000_000 + n,
            "day": day.isoformat(),
            "compact": f"{day:%Y%m%d}",
            "us": f"{day.month}/{day.day}/{day.year}",
            "dmy": f"{day:%d.%m.%Y}",
            "slashed": f"{day:%d/%m/%Y}",
            "clock": clock,
            "minute": clock[:5],
            "hour": seconds // 3600,
            "epoch": 1_704_067_200 + n % 540 * 86_400 + seconds,
            "cost": f"{cents // 100}.{cents % 100:02}",
            "comma": f"{cents // 100},{cents % 100:02}",
            "impressions": pick.randrange(5_000),
            "clicks": pick.randrange(60),
            "campaign": pick.randint(1, 200),
            "group": pick.randint(1, 5_000),
            "keyword": pick.randint(1, 20_000),
            "phone": 912_000_000 + pick.randrange(300_000),
            "talk": pick.randrange(900),
        }


_DAILY = {"account": "main", "currency": "EUR"}
_CHINESE = {"account": "main"}
_MS_COLUMNS = (
    "TimePeriod AccountId CampaignId CampaignName CampaignType AdGroupId AdGroupName KeywordId Keyword "
    "DeliveredMatchType DeviceType Network CurrencyCode Impressions Clicks Spend"
)
_CALLS_EXPORT = {
    "delimiter": ";",
    "datetime_format": "%d.%m.%Y %H:%M:%S",
    "columns": {"call_id": "ID", "called_at": "Time", "phone": "Phone", "tracking_number": "Dialled",
                "talk_s": "Talk", "is_answered": "Answered", "source": "Source"},
    "values": {"is_answered": {"yes": True, "no": False}},
}  # fmt: skip
_CALLS = Sample(
    "calls",
    "%(n)d;%(dmy)s %(clock)s;+385%(phone)d;+38515550100;%(talk)d;yes;google\n",
    head="ID;Time;Phone;Dialled;Talk;Answered;Source\n",
    delimiter=";",
    settings={"export": _CALLS_EXPORT},
)

SAMPLES: dict[str, Sample] = {
    "google_ads": Sample(
        "ad_spend",
        "%(day)s,123-456-7890,EUR,%(campaign)d,Campaign %(campaign)d of the clinic,Search,%(group)d,"
        "Group %(group)d,keyword text %(keyword)d,Phrase match,Mobile phones,Google search,"
        "%(impressions)d,%(clicks)d,%(cost)s\n",
        head="Day,Customer ID,Currency code,Campaign ID,Campaign,Campaign type,Ad group ID,Ad group,"
        "Keyword,Match type,Device,Network,Impr.,Clicks,Cost\n",
    ),
    "yandex_direct": Sample(
        "ad_spend",
        "%(day)s\t%(campaign)d\tКампания %(campaign)d\t%(group)d\tГруппа %(group)d\tMOBILE\tSEARCH\t"
        "%(impressions)d\t%(clicks)d\t%(cost)s\n",
        head="Date\tCampaignId\tCampaignName\tAdGroupId\tAdGroupName\tDevice\tAdNetworkType\t"
        "Impressions\tClicks\tCost\n",
        name="report.tsv",
        delimiter="\t",
        settings={"account": "main", "currency": "RUB"},
    ),
    "meta_ads": Sample(
        "ad_spend",
        "%(day)s,Campaign %(campaign)d,%(campaign)d,Set %(group)d,%(group)d,Video %(keyword)d,%(id)d,"
        '"%(cost)s",'
        "%(impressions)d,%(clicks)d,%(clicks)d\n",
        head="Day,Campaign name,Campaign ID,Ad set name,Ad set ID,Ad name,Ad ID,Amount spent (EUR),"
        "Impressions,Clicks (all),Link clicks\n",
        settings={"account": "main"},
    ),
    "microsoft_ads": Sample(
        "ad_spend",
        '"%(day)s","150175881","%(campaign)d","Campaign %(campaign)d","Search","%(group)d",'
        '"Group %(group)d","%(id)d","keyword text %(keyword)d","Phrase","Smartphone","Audience","EUR",'
        '"%(impressions)d","%(clicks)d","%(cost)s"\n',
        head='"Report Aggregation: Daily"\n\n' + ",".join(f'"{c}"' for c in _MS_COLUMNS.split()) + "\n",
        tail='\n"©2024 Microsoft Corporation. All rights reserved. "\n',
    ),
    "tiktok_ads": Sample(
        "ad_spend",
        "Campaign %(campaign)d,%(campaign)d,Group %(group)d,%(group)d,Video %(keyword)d,%(id)d,"
        '%(day)s,"%(cost)s",'
        "%(impressions)d,%(clicks)d,1.20%%,EUR\n",
        head="Campaign name,Campaign ID,Ad group name,Ad group ID,Ad name,Ad ID,By Day,Cost,Impressions,"
        "Clicks (destination),CTR (destination),Currency\n",
        settings={"account": "main"},
    ),
    "sogou_ads": Sample(
        "ad_spend",
        "%(n)d,%(day)s,账户,计划%(campaign)d,北京,北京,%(cost)s,1%%,%(clicks)d,1%%,0.10\n",
        head="编号,日期,账户,推广计划,省级地域,市级地域,消耗,消耗占比,点击数,点击数占比,点击均价\n",
        settings=_CHINESE,
    ),
    "shenma_ads": Sample(
        "ad_spend",
        "%(day)s,账户,计划%(campaign)d,1,北京,北京,%(impressions)d,%(clicks)d,%(cost)s,1%%,0.10\n",
        head='"时间",账户,推广计划,地域ID,省级地域,地市级地域,展现量,点击量,消费,点击率,平均点击价格\n',
        settings=_CHINESE,
    ),
    "baidu_ads": Sample(
        "ad_spend",
        "%(day)s,账户,计划%(campaign)d,北京,北京,%(impressions)d,%(clicks)d,%(cost)s,1%%,0.10\n",
        head="数据生成时间：2025-10-10 14:02,,,,,,,,,\n数据生成条件：,,,,,,,,,\n"
        "1. 时间范围：20240101-20250624,,,,,,,,,\n"
        "2. 时间单位：分日,,,,,,,,,\n3. 推广设备：全部,,,,,,,,,\n4. 投放网络：全部,,,,,,,,,\n\n"
        "日期,账户,推广计划,省,市,展现,点击,消费,点击率,平均点击价格\n",
        settings={**_CHINESE, "products": ["search"]},
    ),
    "qihoo360_ads": Sample(
        "ad_spend",
        "%(day)s,账户,搜索推广,计划%(campaign)d,四川,成都,%(impressions)d,%(clicks)d,1%%,%(cost)s,0.10\n",
        head="日期,推广账户,产品线,推广计划,省级地区,市级地区,展示次数,点击次数,点击率,总费用,平均每次点击费用\n",
        settings=_CHINESE,
    ),
    "tencent_ads": Sample(
        "ad_spend",
        "%(day)s,计划%(campaign)d,500,投放中,%(impressions)d,%(clicks)d,1%%,%(cost)s,0.10\n",
        head="日期,推广计划名称,限额(元),状态,曝光量,点击量,点击率,花费(元),点击均价(元)\n",
        settings=_CHINESE,
    ),
    "ocean_engine": Sample(
        "ad_spend",
        "%(day)s,%(id)d,计划%(campaign)d,%(group)d,组%(group)d,%(impressions)d,%(clicks)d,1%%,0.1,0.1,%(cost)s\n",
        head="时间,广告计划id,广告计划,广告组id,广告组,展示数,点击数,点击率,平均点击价格,平均千次展现费用,总花费\n",
        settings=_CHINESE,
    ),
    "cost_sheet": Sample(
        "other_costs",
        "c%(n)d,organic_search,agency,Campaign %(campaign)d,%(day)s,%(day)s,%(cost)s,EUR\n",
        head="cost_id,channel,source,campaign,starts_on,ends_on,amount,currency\n",
    ),
    "mapped_file": Sample(
        "visits",
        "%(n)d;%(keyword)d;+385%(phone)d;%(dmy)s %(minute)s;Dr %(campaign)d;Centar;"
        "Pregled;Obavljen;%(comma)s\n",
        head="Broj;Karton;Telefon;Vrijeme;Liječnik;Poslovnica;Usluga;Status;Iznos\n",
        delimiter=";",
        settings={
            "delimiter": ";",
            "decimal": ",",
            "datetime_format": "%d.%m.%Y %H:%M",
            "streams": {
                "visits": {
                    "columns": {"visit_id": "Broj", "patient_id": "Karton", "phone": "Telefon",
                                "visited_at": "Vrijeme", "doctor": "Liječnik", "branch": "Poslovnica",
                                "service": "Usluga", "status": "Status", "billed": "Iznos"},
                    "values": {"status": {"Obavljen": "completed"}},
                }
            },
        },
    ),
    "calltouch": _CALLS,
    "callrail": _CALLS,
    "uis_comagic": Sample(
        "calls",
        '{"id": %(n)d, "start_time": "%(day)s %(clock)s", "direction": "in", "is_lost": false, '
        '"talk_duration": %(talk)d, "wait_duration": 7, "virtual_phone_number": "74990000001", '
        '"contact_phone_number": "7916%(phone)d", "ym_client_id": "%(id)d"}',
        head='{"jsonrpc": "2.0", "id": "1", "result": {"data": [\n',
        between=",\n",
        tail="]}}",
        name="answer.json",
        settings={"timezone": "Europe/Moscow"},
    ),
    "asterisk_cdr": Sample(
        "legs",
        '"","0%(phone)d","01555100","from-trunk","""x"" <0%(phone)d>","PJSIP/trunk-%(n)08x",'
        '"PJSIP/13-%(n)08x","Dial","PJSIP/13,30","%(day)s %(clock)s","%(day)s %(clock)s",'
        '"%(day)s %(clock)s",%(talk)d,%(talk)d,"ANSWERED","DOCUMENTATION","%(epoch)d.%(n)d",""\n',
        name="Master.csv",
        settings={"timezone": "UTC"},
    ),
    "yandex_metrica": Sample(
        "visits",
        "%(id)d\t44147844\t%(day)s\t%(day)s %(clock)s\t%(day)s %(clock)s\t1\thttps://clinic.example/?utm_source=yandex"
        "&utm_medium=cpc&utm_campaign=%(campaign)d\t3\t%(talk)d\t0\t%(id)d\tad\tya_direct\tyandex\tcpc\t%(campaign)d\n",
        head="ym:s:visitID\tym:s:counterID\tym:s:date\tym:s:dateTime\tym:s:dateTimeUTC\tym:s:isNewUser\tym:s:startURL\t"
        "ym:s:pageViews\tym:s:visitDuration\tym:s:bounce\tym:s:clientID\tym:s:lastsignTrafficSource\t"
        "ym:s:lastsignAdvEngine\tym:s:lastsignUTMSource\tym:s:lastsignUTMMedium\tym:s:lastsignUTMCampaign\n",
        name="visits.tsv",
        delimiter="\t",
        settings={"timezone": "Europe/Moscow", "counter_id": "44147844"},
    ),
    "ga4": Sample(
        "events",
        '{"event_date":"%(compact)s","event_timestamp":"%(epoch)d000000","event_name":"session_start",'
        '"event_params":[{"key":"ga_session_id","value":{"int_value":"%(n)d"}},{"key":"page_location",'
        '"value":{"string_value":"https://clinic.example/?utm_source=google&utm_medium=cpc"}}],'
        '"user_pseudo_id":"%(keyword)d.%(campaign)d","device":{"category":"mobile"},"geo":{"city":"Zagreb"}}\n',
        name="events.ndjson",
    ),
    "fhir": Sample(
        "patients",
        '{"resourceType":"Patient","id":"p-%(n)d","meta":{"lastUpdated":"%(day)sT%(clock)sZ"},"telecom":'
        '[{"system":"phone","value":"+385%(phone)d"}],"gender":"female","birthDate":"1980-05-05"}\n',
        name="Patient.ndjson",
    ),
    "open_dental": Sample(
        "appointments",
        "%(n)d,%(keyword)d,2,//XX//,19,%(day)s %(clock)s,false,%(day)s %(clock)s,%(campaign)d\n",
        head="AptNum,PatNum,AptStatus,Pattern,Confirmed,AptDateTime,IsNewPatient,DateTStamp,ProvNum\n",
    ),
    "onec": Sample(
        "visits",
        "%(n)d;%(keyword)d;+7916%(phone)d;%(dmy)s %(clock)s;Врач %(campaign)d;Центр;Консультация;%(comma)s\n",
        head="Номер приема;Номер карты;Телефон;Дата приема;Врач;Филиал;Услуга;Сумма\n",
        delimiter=";",
        settings={"clinic_phone_region": "RU"},
    ),
    "live_chat": Sample(
        "contacts",
        "%(n)d,%(day)s 09:58:00,%(day)s 10:00:00,一般对话,2,1,v-%(n)d,,'%(id)d,,,,客服A,\n",
        head="编号,开始访问时间,开始对话时间,对话类型,客人讯息数,客服讯息数,名称,客人类别,永久身份,初次访问网址,"
        "客人说明,关键词,初始接待客服,对话类别\n",
        settings={"format": "shangwutong"},
    ),
    "google_reviews": Sample(
        "reviews", "r%(n)d,5,%(day)s,77\n", head="review_id,rating,create_time,location\n",
        settings={"locations": ["77"]},
    ),
    "yclients": Sample(
        "records",
        '{"id":%(n)d,"company_id":4564,"staff_id":9,"services":[{"id":1,"title":"Consultation","cost":900,'
        '"first_cost":1000,"discount":10}],"goods_transactions":[],"staff":{"id":9,"name":"Dr %(campaign)d"},'
        '"client":{"id":%(keyword)d,"phone":"+7916%(phone)d","email":""},"date":"%(day)s %(clock)s",'
        '"datetime":"%(day)sT%(clock)s+03:00","create_date":"%(day)sT%(clock)s+0300","online":false,'
        '"attendance":1,"seance_length":3600,"visit_id":"%(id)d","deleted":false}',
        head='{"success": true, "data": [',
        between=",",
        tail='], "meta": {"total_count": 1}}',
        name="records.json",
        settings={"timezone": "Europe/Moscow"},
    ),
    "matomo": Sample(
        "visits",
        '{"idSite":"1","idVisit":"%(n)d","visitorId":"%(id)x","serverTimestamp":%(epoch)d,'
        '"firstActionTimestamp":%(epoch)d,"lastActionTimestamp":%(epoch)d,"visitDuration":"%(talk)d",'
        '"actions":"3",'
        '"visitorType":"new","referrerType":"campaign","referrerName":"google","deviceType":"Smartphone",'
        '"city":"Zagreb","actionDetails":[{"type":"action","url":"https://clinic.example/?utm_source=google"}]}',
        head="[",
        between=",",
        tail="]",
        name="visits.json",
    ),
    "amocrm": Sample(
        "leads",
        "%(n)d;Запись;Первичный контакт;%(dmy)s %(clock)s;%(dmy)s %(clock)s;+7916%(phone)d;google\n",
        head="ID;Воронка;Этап сделки;Дата создания;Дата редактирования;Рабочий телефон (контакт);"
        "utm_source\n",
        delimiter=";",
    ),
    "bitrix24": Sample(
        "leads",
        "%(n)d;Новый;%(dmy)s %(clock)s;+7916%(phone)d;google;%(comma)s\n",
        head="ID;Стадия;Дата создания;Рабочий телефон;UTM Source;Сумма\n",
        delimiter=";",
    ),
}  # fmt: skip


def write(sample: Sample, path: Path, rows: int) -> None:
    """Write the export with so many rows."""
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(sample.head)
        row, between = sample.row, sample.between
        for values in _values(rows):
            if between and values["n"] > 1:
                out.write(between)
            out.write(row % values)
        out.write(sample.tail)


# --- readers, each run in a process of its own -------------------------------------------------------


def _firstvisit(kind: str, sample: Sample, path: Path) -> Callable[[], int]:
    import pyarrow as pa

    from connectors.check import check
    from connectors.contract import ReadLog
    from connectors.files import InboxFile
    from connectors.privacy import Privacy
    from connectors.registry import connector

    # The first array imports what Arrow shares with pandas.
    pa.array([])
    reader = connector(kind)
    clinic = {"clinic_timezone": "Europe/Zagreb", "clinic_currency": "EUR", "clinic_phone_region": "HR"}
    source = reader.options.model_validate({"kind": kind, "name": kind, **clinic, **sample.settings})
    stream = next(stream for stream in reader.streams(source) if stream.name == sample.stream)

    def run() -> int:
        log = ReadLog()
        privacy = Privacy(b"a key of the benchmark", source.clinic_phone_region)
        landed = 0
        records = reader.read(InboxFile(path), stream, source, log)
        for checked in check(records, stream, privacy, log, arrived_at=datetime.now(tz=UTC)):
            landed += checked.batch.num_rows
            if checked.quarantined:
                bad = checked.quarantined[0]
                raise SystemExit(f"row {bad.row_number} is quarantined: {bad.column} {bad.reason}")
        return landed

    return run


def _duckdb(_kind: str, sample: Sample, path: Path) -> Callable[[], int]:
    import duckdb

    if sample.is_json:
        read = f"read_json('{path}', maximum_object_size = 2000000000)"
    else:
        skipped = max(0, sample.head.count("\n") - 1)
        header = "true" if sample.head else "false"
        read = (
            f"read_csv('{path}', delim = '{sample.delimiter}', header = {header}, skip = {skipped}, "
            "quote = '\"', null_padding = true, ignore_errors = true)"
        )

    def run() -> int:
        with duckdb.connect() as con:
            con.execute(f"create table export as from {read}")
            found = con.execute("select count(*) from export").fetchone()
            return int(found[0]) if found else 0

    return run


def _pandas(_kind: str, sample: Sample, path: Path) -> Callable[[], int]:
    import pandas as pd

    def run() -> int:
        if sample.is_json:
            return len(pd.read_json(path, lines=not sample.between))
        header = 0 if sample.head else None
        skipped = max(0, sample.head.count("\n") - 1)
        return len(pd.read_csv(path, sep=sample.delimiter, skiprows=skipped, header=header, low_memory=False))

    return run


_READERS = {"firstvisit": _firstvisit, "duckdb": _duckdb, "pandas": _pandas}


def _measure(reader: str, kind: str, path: Path) -> None:
    """Run one reader and print its figures as JSON."""
    run = _READERS[reader](kind, SAMPLES[kind], path)
    started, used = time.perf_counter(), time.process_time()
    rows = run()
    figures = {
        "rows": rows,
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - used,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def _measured(reader: str, kind: str, path: Path) -> dict[str, Any]:
    """The figures of one reader, or what it failed with."""
    command = [sys.executable, "-m", "benchmarks.kinds", "--measure", reader, str(path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures
    said = done.stderr.strip().splitlines() or ["no message"]
    return {"error": said[-1][:300]}


# --- the table ---------------------------------------------------------------------------------------


def _shown(figures: Mapping[str, Any], rows: int) -> tuple[str, str]:
    if "error" in figures:
        return "–", "–"
    return f"{rows / figures['wall_s']:,.0f}", f"{figures['peak_mb']:,.0f}"


def main(kinds: list[str], rows: int) -> None:
    """Measure the kinds and show the table."""
    from rich.console import Console
    from rich.table import Table

    columns = [f"{reader}\n{what}" for reader in READERS for what in ("rows/s", "peak MB")]
    table = Table("kind", "file MB", "CPU s", *columns, title=f"{rows:,} rows each")
    results, failures = [], []
    for kind in kinds:
        sample = SAMPLES[kind]
        with tempfile.TemporaryDirectory(prefix="firstvisit-bench-") as folder:
            path = Path(folder) / sample.name
            write(sample, path, rows)
            found = {reader: _measured(reader, kind, path) for reader in READERS}
            size = path.stat().st_size
        results.append({"kind": kind, "rows": rows, "bytes": size, **found})
        # What the others cannot read (pandas: an array within an object) is no failure.
        landed = found["firstvisit"].get("rows", 0)
        if landed != rows:
            failures.append(f"{kind}: {found['firstvisit'].get('error', f'{landed:,} rows landed')}")
        cells = [cell for reader in READERS for cell in _shown(found[reader], rows)]
        table.add_row(kind, f"{size / 1e6:,.0f}", f"{found['firstvisit'].get('cpu_s', 0):.1f}", *cells)
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    RESULTS.write_text(json.dumps({"machine": machine, "kinds": results}, indent=1), encoding="utf-8")
    Console(width=max(130, Console().width)).print(table)
    for failure in failures:
        print(failure)
    if failures:
        raise SystemExit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kinds", description="Read a million rows of each kind."
    )
    parser.add_argument("kinds", nargs="*", choices=[*SAMPLES, []], metavar="kind", help=", ".join(SAMPLES))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    if given.measure:
        _measure(given.measure[0], given.kinds[0], Path(given.measure[1]))
    else:
        main(given.kinds or list(SAMPLES), given.rows)
