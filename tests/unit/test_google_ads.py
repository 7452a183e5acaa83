"""Google Ads: downloads of the interface, saved API answers, and what must not be taken for daily spend."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _google_ads_report, _table_files
from connectors.errors import FileRefused
from connectors.google_ads import CONNECTOR
from tests.unit.vendor_files import Read, options, read

HEAD = 'Campaign report\n"March 1, 2024 - March 3, 2024"\n'
COLUMNS = "Day,Campaign status,Campaign,Campaign type,Currency code,Cost,Clicks,Impr.\n"


def spend(tmp_path: Path, content: str | bytes, name: str = "report.csv", **given_options: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, "ad_spend", **{"account": "main", **given_options})


def refusal(tmp_path: Path, content: str | bytes, **given_options: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        spend(tmp_path, content, **given_options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def by_day(path: Path, days: int, shares: list[Decimal]) -> str:
    """A real download, segmented by day: the same layout with a Day column, amounts split by `shares`."""
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    title, _, header, *rows = lines
    cost_at, first = header.index("Cost"), date(2024, 3, 1)
    counts = [header.index(name) for name in ("Clicks", "Impr.")]
    totals = [row for row in rows if any(cell.startswith("Total: ") for cell in row[:2])]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(title)
    last = first + timedelta(days=days - 1)
    writer.writerow([f"{first:%B} {first.day}, {first.year} - {last:%B} {last.day}, {last.year}"])
    writer.writerow(["Day", *header])
    for row in rows:
        if row in totals:
            continue
        cost = Decimal(row[cost_at])
        left = cost
        for n, share in enumerate(shares):
            part = left if n == len(shares) - 1 else (cost * share).quantize(Decimal("0.01"))
            left -= part
            day = list(row)
            day[cost_at] = str(part)
            for at in counts:
                day[at] = row[at] if n == 0 else "0"
            writer.writerow([(first + timedelta(days=n)).isoformat(), *day])
    for row in totals:
        writer.writerow(["", *row])
    return out.getvalue()


# --- real downloads ---


@pytest.mark.parametrize(
    "name",
    [
        "campaign_report_all_time_usd.csv",
        "campaign_report_dental_clinic_eur.csv",
        "search_keyword_report_by_device_usd.csv",
    ],
)
def test_a_real_download_without_days_is_refused_with_the_remedy(shared: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="no Day column") as caught:
        read(CONNECTOR, shared / "ad_spend/google_ads/ui_export" / name, "ad_spend", account="main")
    assert "Segment > Time > Day" in str(caught.value)


def test_the_all_time_layout_by_day_gives_the_true_sum(shared: Path, tmp_path: Path) -> None:
    path = shared / "ad_spend/google_ads/ui_export/campaign_report_all_time_usd.csv"
    found = spend(tmp_path, by_day(path, 3, [Decimal("0.3"), Decimal("0.3"), Decimal("0.4")]))
    assert sum(row["cost"] for row in found.landed) == Decimal("199421.15")
    assert len({row["campaign_name"] for row in found.landed}) == 12
    assert len(found.landed) == 36
    assert sum(row["clicks"] for row in found.landed) == 167_739
    assert sum(row["impressions"] for row in found.landed) == 14_117_313
    assert found.log.control_totals["Total: Campaigns", "cost"] == Decimal("199421.15")
    assert found.log.control_totals["Total: Account", "cost"] == Decimal("199547.59")
    assert found.log.skipped == {"preamble": 2, "total row": 5}
    assert found.log.covers == (date(2024, 3, 1), date(2024, 3, 3))
    assert found.log.unknown_columns == set()
    assert {row["report_level"] for row in found.landed} == {"campaign"}
    assert {row["currency"] for row in found.landed} == {"USD"}


def test_the_greek_clinics_layout_by_day_loads(shared: Path, tmp_path: Path) -> None:
    path = shared / "ad_spend/google_ads/ui_export/campaign_report_dental_clinic_eur.csv"
    found = spend(tmp_path, by_day(path, 1, [Decimal(1)]))
    names = {row["campaign_name"] for row in found.landed}
    assert names == {"i-smile.gr", "dentplant.gr", "Οδοντικά Εμφυτεύματα Αθήνα"}
    assert sum(row["cost"] for row in found.landed) == 0
    assert {row["currency"] for row in found.landed} == {"EUR"}


def test_the_keyword_layout_by_day_drops_every_total_and_unmarks_keywords(
    shared: Path, tmp_path: Path
) -> None:
    path = shared / "ad_spend/google_ads/ui_export/search_keyword_report_by_device_usd.csv"
    found = spend(tmp_path, by_day(path, 2, [Decimal("0.5"), Decimal("0.5")]))
    assert len(found.landed) == (709 - 34) * 2
    assert sum(row["cost"] for row in found.landed) == Decimal("18950.07")
    assert found.log.skipped["total row"] == 34
    # totals of a device repeat the whole ones and are not kept
    assert found.log.control_totals["Total: Filtered keywords", "cost"] == Decimal("18950.07")
    assert found.log.control_totals["Total: Account", "cost"] == Decimal("19496.92")
    assert {row["report_level"] for row in found.landed} == {"keyword"}
    keywords = {row["keyword"] for row in found.landed}
    assert {"ELD", "ELD TRUCKING", "TELETRAC"} <= keywords
    assert not any(set(keyword) & set('"[]+') for keyword in keywords)
    assert {row["device"] for row in found.landed} == {
        "Computers",
        "TV screens",
        "Mobile phones",
        "Other",
        "Tablets",
    }


# --- the interface's layout ---


def test_utf_16_with_tabs_gives_the_same_rows(tmp_path: Path) -> None:
    text = HEAD + COLUMNS + '2024-03-01,Enabled,Brand,Search,EUR,12.50,"1,024","795,836"\n'
    plain = spend(tmp_path, text)
    rows = list(csv.reader(io.StringIO(text)))
    tabbed = "\n".join("\t".join(row) for row in rows) + "\n"
    wide = spend(tmp_path, tabbed.encode("utf-16"))
    assert plain.landed == wide.landed
    assert plain.landed[0]["impressions"] == 795_836


def test_a_report_by_day_whose_totals_repeat_per_day_is_not_doubled(tmp_path: Path) -> None:
    found = spend(
        tmp_path,
        HEAD
        + COLUMNS
        + "2024-03-01,Enabled,Brand,Search,EUR,10.00,1,9\n2024-03-02,Enabled,Brand,Search,EUR,5.00,1,9\n"
        ",Total: Campaigns, --, --,EUR,15.00,2,18\n2024-03-01,Total: Campaigns, --, --,EUR,10.00,1,9\n"
        "2024-03-02,Total: Campaigns, --, --,EUR,5.00,1,9\n",
    )
    assert [row["cost"] for row in found.landed] == [Decimal(10), Decimal(5)]
    assert found.log.control_totals["Total: Campaigns", "cost"] == Decimal("15.00")


def test_a_campaign_called_total_in_the_middle_is_a_campaign(tmp_path: Path) -> None:
    columns = "Day,Campaign,Currency code,Cost\n"
    found = spend(
        tmp_path, HEAD + columns + "2024-03-01,Total: body scan,EUR,7.00\n2024-03-01,Brand,EUR,1.00\n"
    )
    assert [row["campaign_name"] for row in found.landed] == ["Total: body scan", "Brand"]


def test_a_campaign_called_total_at_the_end_is_a_campaign_unless_totals_follow(tmp_path: Path) -> None:
    rows = (
        HEAD
        + "Day,Campaign,Currency code,Cost\n2024-03-01,Brand,EUR,1.00\n2024-03-01,Total: body scan,EUR,7.00\n"
    )
    assert [row["cost"] for row in spend(tmp_path, rows).landed] == [Decimal(1), Decimal(7)]
    # behind it real totals begin: which is which cannot be told, and the sum gives it away
    assert "rows are missing" in refusal(tmp_path, rows + ",Total: Campaigns,EUR,8.00\n")


@pytest.mark.parametrize("mark", [".", ","])
def test_the_xlsx_download_gives_the_same_rows(tmp_path: Path, mark: str) -> None:
    plain = spend(tmp_path, HEAD + COLUMNS + '2024-03-01,Enabled,Brand,Search,EUR,12.50,3,"1,024"\n')
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Campaign report"])
    page.append(["March 1, 2024 - March 3, 2024"])
    page.append(COLUMNS.strip().split(","))
    page.append([datetime(2024, 3, 1), "Enabled", "Brand", "Search", "EUR", 12.5, 3, 1024])
    path = tmp_path / "report.xlsx"
    book.save(path)
    found = read(CONNECTOR, path, "ad_spend", account="main", decimal=mark)
    assert found.landed == plain.landed
    assert found.log.covers == plain.log.covers


def test_rows_that_fall_short_of_the_printed_total_are_refused(tmp_path: Path) -> None:
    text = (
        HEAD
        + COLUMNS
        + "2024-03-01,Enabled,Brand,Search,EUR,10.00,1,9\nTotal: Campaigns, --, --, --,EUR,15.00,2,18\n"
    )
    assert "rows are missing" in refusal(tmp_path, text)
    # the account's own total may be higher: it counts campaigns that the view hides
    hidden = text.replace("Total: Campaigns", "Total: Account")
    assert len(spend(tmp_path, hidden).landed) == 1


def test_cents_lost_by_printing_are_no_missing_rows(tmp_path: Path) -> None:
    rows = "".join(f"2024-03-0{n % 3 + 1},Enabled,C{n},Search,EUR,0.33,1,9\n" for n in range(30))
    assert (
        len(spend(tmp_path, HEAD + COLUMNS + rows + "Total: Campaigns, --, --, --,EUR,10.00,30,270\n").landed)
        == 30
    )


@pytest.mark.parametrize(
    ("printed", "covers"),
    [
        ('"March 27, 2026 - April 23, 2026"', (date(2026, 3, 27), date(2026, 4, 23))),
        ('"Mar 27, 2026 – Apr 23, 2026"', (date(2026, 3, 27), date(2026, 4, 23))),
        ("27 March 2026 - 23 April 2026", (date(2026, 3, 27), date(2026, 4, 23))),
        ("2026-03-27 - 2026-04-23", (date(2026, 3, 27), date(2026, 4, 23))),
        ('"April 2, 2026"', (date(2026, 4, 2), date(2026, 4, 2))),
        ("All time", None),
        ("a range in another language", None),
    ],
)
def test_the_printed_range_is_what_the_report_covers(
    tmp_path: Path, printed: str, covers: tuple[date, date] | None
) -> None:
    found = spend(
        tmp_path, f"Campaign report\n{printed}\n" + COLUMNS + "2026-04-02,Enabled,B,Search,EUR,1.00,1,9\n"
    )
    assert found.log.covers == covers
    assert len(found.landed) == 1


def test_a_day_outside_the_printed_range_is_quarantined(tmp_path: Path) -> None:
    found = spend(tmp_path, HEAD + COLUMNS + "2024-04-01,Enabled,B,Search,EUR,1.00,1,9\n")
    assert found.reasons == ["spend_date: lies outside the date range that the report prints"]


@pytest.mark.parametrize(
    ("text", "day"), [("Mar 2, 2024", date(2024, 3, 2)), ("2024-03-02", date(2024, 3, 2))]
)
def test_days_in_english_are_read(tmp_path: Path, text: str, day: date) -> None:
    found = spend(tmp_path, HEAD + COLUMNS + f'"{text}",Enabled,B,Search,EUR,1.00,1,9\n')
    assert found.landed[0]["spend_date"] == day


def test_a_configured_date_format_is_used(tmp_path: Path) -> None:
    row = "02.03.2024,Enabled,B,Search,EUR,1.00,1,9\n"
    assert spend(tmp_path, HEAD + COLUMNS + row, date_format="%d.%m.%Y").landed[0]["spend_date"] == date(
        2024, 3, 2
    )
    assert spend(tmp_path, HEAD + COLUMNS + row).reasons == [
        "spend_date: is not a day; set `date_format:` of the source"
    ]


def test_a_negative_cost_and_an_empty_one_are_quarantined(tmp_path: Path) -> None:
    found = spend(
        tmp_path,
        HEAD
        + COLUMNS
        + "2024-03-01,Enabled,A,Search,EUR,-1.00,1,9\n2024-03-01,Enabled,B,Search,EUR, --,1,9\n"
        "2024-03-01,Enabled,C,Search,EUR,2.00,1,9\n",
    )
    assert [q.column for q in found.quarantined] == ["cost", "cost"]
    assert "negative" in found.quarantined[0].reason
    assert [row["campaign_name"] for row in found.landed] == ["C"]


def test_an_account_in_the_file_is_used_only_where_the_source_names_none(tmp_path: Path) -> None:
    columns = "Day,Customer ID,Campaign,Currency code,Cost\n"
    one = HEAD + columns + "2024-03-01,123-456-7890,A,EUR,1.00\n"
    assert spend(tmp_path, one, account=None).landed[0]["account"] == "1234567890"
    assert spend(tmp_path, one).landed[0]["account"] == "main"
    two = one + "2024-03-01,999-456-7890,B,EUR,1.00\n"
    assert {row["account"] for row in spend(tmp_path, two, account=None).landed} == {
        "1234567890",
        "9994567890",
    }
    assert "several accounts" in refusal(tmp_path, two)


def test_a_column_nobody_knows_is_named_and_the_row_lands(tmp_path: Path) -> None:
    found = spend(tmp_path, HEAD + "Day,Campaign,Currency code,Cost,Vibes\n2024-03-01,A,EUR,1.00,good\n")
    assert found.log.unknown_columns == {"Vibes"}
    assert len(found.landed) == 1


@pytest.mark.parametrize(
    ("extra", "level"),
    [
        ("", "campaign"),
        ("Ad group,", "ad_group"),
        ("Ad group,Keyword,", "keyword"),
        ("Ad group,Ad ID,", "ad"),
    ],
)
def test_the_columns_tell_the_level(tmp_path: Path, extra: str, level: str) -> None:
    cells = "x," * extra.count(",")
    found = spend(tmp_path, HEAD + f"Day,{extra}Campaign,Currency code,Cost\n2024-03-01,{cells}A,EUR,1.00\n")
    assert found.landed[0]["report_level"] == level


def test_an_account_report_is_read_without_campaigns(tmp_path: Path) -> None:
    found = spend(tmp_path, HEAD + "Day,Currency code,Cost\n2024-03-01,EUR,1.00\nTotal: Account,EUR,1.00\n")
    assert [(row["report_level"], row["cost"]) for row in found.landed] == [("account", Decimal(1))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<html>", "HTML page"),
        (HEAD, "no header"),
        ("a,b\n1,2\n", "no header"),
        (HEAD + "Day,Campaign,Clicks\n2024-03-01,A,1\n", "no column Cost"),
        (HEAD + "Day,Campaign,Cost\n2024-03-01,A,1.00\n", "Currency code"),
        (HEAD + "Day,Search term,Campaign,Currency code,Cost\n", "leaves some out"),
        (HEAD + COLUMNS + "2024-03-01,Enabled,A,Search,EUR,1.00\n", "has 6 cells under 8 headings"),
        (HEAD + COLUMNS + '2024-03-01,Enabled,"A,Search', "cut short"),
        (HEAD + COLUMNS + '2024-03-01,Enabled,A,Search,EUR,"1,50",1,9\n', "decimal"),
        (HEAD + COLUMNS + "2024-03-01,Enabled,A,Search,EUR,1.234,1,9\n", "three decimals"),
        (HEAD + COLUMNS + "2024-03-01,Enabled,A,Search,EUR,1.00,1,795.836\n", "decimal"),
        ((HEAD + COLUMNS + "2024-03-01,Enabled,Šibenik,Search,EUR,1.00,1,9\n").encode("cp1250"), "utf-8"),
    ],
)
def test_what_cannot_be_daily_spend_is_refused_whole(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    assert reason in refusal(tmp_path, content)


def test_header_only_is_an_empty_report(tmp_path: Path) -> None:
    found = spend(tmp_path, HEAD + COLUMNS)
    assert found.raw == []
    assert found.log.covers == (date(2024, 3, 1), date(2024, 3, 3))


def test_no_account_anywhere_is_refused(tmp_path: Path) -> None:
    assert "account" in refusal(tmp_path, HEAD + COLUMNS, account=None)


def test_the_sources_currency_stands_in_for_a_missing_column(tmp_path: Path) -> None:
    found = spend(tmp_path, HEAD + "Day,Campaign,Cost\n2024-03-01,A,1.00\n", currency="USD")
    assert found.landed[0]["currency"] == "USD"
    with pytest.raises(ValidationError, match="ISO 4217"):
        options(CONNECTOR, currency="usd")


def test_a_decimal_comma_is_read_where_it_is_configured(tmp_path: Path) -> None:
    row = '2024-03-01,Enabled,A,Search,EUR,"103.606,77",66.168,1.024.071\n'
    landed = spend(tmp_path, HEAD + COLUMNS + row, decimal=",").landed[0]
    assert (landed["cost"], landed["clicks"], landed["impressions"]) == (
        Decimal("103606.77"),
        66_168,
        1_024_071,
    )


@given(
    cents=st.integers(min_value=0, max_value=10**11),
    is_grouped=st.booleans(),
    mark=st.sampled_from([".", ","]),
)
def test_amounts_come_back_as_printed(
    tmp_path_factory: pytest.TempPathFactory, cents: int, is_grouped: bool, mark: str
) -> None:
    amount = Decimal(cents) / 100
    text = f"{amount:,.2f}" if is_grouped else f"{amount:.2f}"
    if mark == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    found = spend(
        tmp_path_factory.mktemp("spend"),
        HEAD + COLUMNS + f'2024-03-01,Enabled,A,Search,EUR,"{text}",1,9\n',
        decimal=mark,
    )
    assert found.landed[0]["cost"] == amount


# --- the interface in other languages ---

LOCALISED = {
    "German": (
        (
            "Kampagnenbericht\n1. März 2024 - 3. März 2024\n"
            "Tag,Kampagnenstatus,Kampagne,Kampagnentyp,Währungscode,Kosten,Klicks,Impr.\n"
        ),
        "Gesamt: Kampagnen",
        "Gesamt: Konto",
    ),
    "French": (
        (
            "Rapport sur les campagnes\n1 mars 2024 - 3 mars 2024\n"
            "Jour,État de la campagne,Campagne,Type de campagne,Code de la devise,Coût,Clics,Impr.\n"
        ),
        "Total\u00a0: campagnes",
        "Total : compte",
    ),
    "Spanish": (
        (
            "Informe de campaña\n1 de marzo de 2024 - 3 de marzo de 2024\n"
            "Día,Estado de la campaña,Campaña,Tipo de campaña,Código de moneda,Coste,Clics,Impr.\n"
        ),
        "Total: Campañas",
        "Total: Cuenta",
    ),
}


def localised(head: str, of_campaigns: str, of_account: str, total: str = "30,50") -> str:
    return (
        head
        + '2024-03-01,ok,Brand,x,EUR,"10,00","1.024",9\n2024-03-02,ok,Brand,x,EUR,"20,50",2,9\n'
        # Totals of each day too: half the lines of such a download.
        + f'2024-03-01,{of_campaigns}, --, --,EUR,"10,00","1.024",9\n'
        + f'2024-03-02,{of_campaigns}, --, --,EUR,"20,50",2,9\n'
        + f' --,{of_campaigns}, --, --,EUR,"{total}","1.026",18\n'
        + f' --,{of_account}, --, --,EUR,"31,00","1.026",18\n'
    )


@pytest.mark.parametrize("language", LOCALISED)
def test_a_download_in_another_language_gives_its_rows_and_not_its_totals(
    tmp_path: Path, language: str
) -> None:
    head, of_campaigns, of_account = LOCALISED[language]
    found = spend(tmp_path, localised(head, of_campaigns, of_account), decimal=",")
    assert [(row["spend_date"].day, row["campaign_name"], row["cost"]) for row in found.landed] == [
        (1, "Brand", Decimal(10)),
        (2, "Brand", Decimal("20.5")),
    ]
    assert found.landed[0]["clicks"] == 1024
    assert {row["report_level"] for row in found.landed} == {"campaign"}
    assert found.log.covers == (date(2024, 3, 1), date(2024, 3, 3))
    assert found.log.skipped == {"preamble": 2, "total row": 4}
    assert found.log.unknown_columns == set()
    assert found.log.control_totals[of_account, "cost"] == Decimal(31)


@pytest.mark.parametrize("language", LOCALISED)
def test_a_short_download_in_another_language_is_refused(tmp_path: Path, language: str) -> None:
    head, of_campaigns, of_account = LOCALISED[language]
    text = localised(head, of_campaigns, of_account, total="99,00")
    assert "rows are missing" in refusal(tmp_path, text, decimal=",")


@pytest.mark.parametrize("language", LOCALISED)
def test_totals_of_days_alone_are_no_campaigns_either(tmp_path: Path, language: str) -> None:
    head, of_campaigns, of_account = LOCALISED[language]
    lines = localised(head, of_campaigns, of_account).splitlines(keepends=True)[:-2]
    assert len(spend(tmp_path, "".join(lines), decimal=",").landed) == 2


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("Tag,Kampagne,Währungscode,Kosten", "Gesamt: Konto"),
        ("Jour,Campagne,Code de la devise,Coût", "Total : compte"),
        ("Jour,Campagne,Code de la devise,Coût", "Total\u00a0: compte"),
        ("Día,Campaña,Código de moneda,Costo", "Total: Cuenta"),
    ],
)
def test_a_total_in_the_column_of_campaigns_is_told_by_its_word(
    tmp_path: Path, header: str, label: str
) -> None:
    rows = f'2024-03-01,Brand,EUR,"1,00"\n2024-03-01,{label},EUR,"1,00"\n --,{label},EUR,"1,00"\n'
    found = spend(tmp_path, f"{header}\n{rows}", decimal=",")
    assert [row["campaign_name"] for row in found.landed] == ["Brand"]


@pytest.mark.parametrize("language", LOCALISED)
def test_the_wrong_number_format_is_refused_in_any_language(tmp_path: Path, language: str) -> None:
    assert "`decimal:`" in refusal(tmp_path, localised(*LOCALISED[language]))


@pytest.mark.parametrize("column", ["Suchbegriff", "Terme de recherche", "Término de búsqueda"])
def test_search_terms_are_refused_in_any_language(tmp_path: Path, column: str) -> None:
    language = {"S": "German", "T": "French"}[column[0]] if column != "Término de búsqueda" else "Spanish"
    head = LOCALISED[language][0].rstrip("\n") + f",{column}\n"
    assert "leaves some out" in refusal(tmp_path, head)


@pytest.mark.parametrize(
    ("day", "language"),
    [
        ("1. März 2024", "German"),
        ("1. Mär. 2024", "German"),
        ("1er mars 2024", "French"),
        ("1 mars 2024", "French"),
        ("1 de marzo de 2024", "Spanish"),
        ("1 mar 2024", "Spanish"),
    ],
)
def test_days_written_out_are_read(tmp_path: Path, day: str, language: str) -> None:
    head = LOCALISED[language][0]
    row = f'{day},ok,Brand,x,EUR,"10,00",1,9\n'
    assert spend(tmp_path, head + row, decimal=",").landed[0]["spend_date"] == date(2024, 3, 1)


def test_a_language_that_is_not_known_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, "Отчет\nДень,Кампания,Код валюты,Стоимость\n2024-03-01,А,RUB,1.00\n")
    assert "English, German, French or Spanish" in message


def test_the_label_of_a_total_may_stand_in_any_column_of_text(tmp_path: Path) -> None:
    columns = "Day,Cost,Clicks,Impr.,Currency code,Campaign\n"
    rows = "2024-03-01,8.00,1,9,EUR,Brand\n --,8.00,1,9,EUR,Total: Campaigns\n"
    found = spend(tmp_path, HEAD + columns + rows)
    assert [row["campaign_name"] for row in found.landed] == ["Brand"]
    assert found.log.control_totals["Total: Campaigns", "cost"] == Decimal(8)


@pytest.mark.parametrize("bytes_", [512, 1 << 22])
def test_a_campaign_called_total_is_one_however_the_file_is_cut_into_blocks(
    tmp_path: Path, bytes_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_table_files, "_BLOCK_BYTES", bytes_)
    columns = "Day,Campaign,Currency code,Cost\n"
    scans = "2024-03-01,Total: body scan,EUR,7.00\n" * 60
    totals = "2024-03-01,Total: Campaigns,EUR,421.00\n,Total: Campaigns,EUR,421.00\n"
    found = spend(tmp_path, HEAD + columns + scans + "2024-03-01,Brand,EUR,1.00\n" + totals)
    assert sum(row["cost"] for row in found.landed) == 421
    assert len(found.landed) == 61
    assert found.log.skipped["total row"] == 2


# --- a source with a customer id ---

CREDENTIALS = {
    "customer_id": "123-456-7890",
    "developer_token": "d",
    "client_id": "c",
    "client_secret": "s",
    "refresh_token": "r",
}


def test_files_of_a_source_with_a_customer_id_are_filed_under_it(tmp_path: Path) -> None:
    """Else a download that names the account by its name would stand beside what the API gave."""
    columns = "Day,Account,Campaign,Currency code,Cost\n2024-03-01,Northgate,A,EUR,1.00\n"
    found = spend(tmp_path, HEAD + columns, account=None, **CREDENTIALS)
    assert found.landed[0]["account"] == "1234567890"
    saved = spend(tmp_path, answer(RESULT), account=None, **CREDENTIALS)
    assert saved.landed[0]["account"] == "1234567890"


def test_a_file_of_another_customer_is_refused(tmp_path: Path) -> None:
    columns = "Day,Customer ID,Campaign,Currency code,Cost\n2024-03-01,999-456-7890,A,EUR,1.00\n"
    assert "another account" in refusal(tmp_path, HEAD + columns, **CREDENTIALS)
    other = RESULT | {"customer": {"id": "9994567890", "currencyCode": "EUR"}}
    assert "another account" in refusal(tmp_path, answer(other), **CREDENTIALS)


# --- saved API answers ---


def answer(*results: dict[str, Any]) -> str:
    return json.dumps([{"results": list(results), "fieldMask": "campaign.id", "requestId": "r"}])


RESULT: dict[str, Any] = {
    "customer": {"id": "1234567890", "currencyCode": "EUR"},
    "campaign": {"id": "55", "name": "Brand", "advertisingChannelType": "SEARCH"},
    "segments": {"date": "2024-03-01", "device": "MOBILE"},
    "metrics": {"costMicros": "168080000", "clicks": "30", "impressions": "163"},
}


def test_a_real_search_stream_answer(shared: Path) -> None:
    path = shared / "ad_spend/google_ads/api/search_stream_response_shape.json"
    found = read(CONNECTOR, path, "ad_spend", account="main", currency="BDT")
    assert [
        (r["spend_date"], r["campaign_id"], r["cost"], r["clicks"], r["impressions"]) for r in found.landed
    ] == [(date(2026, 9, 2), "55", Decimal(2500), 80, 1000)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("search_paged_response_shape.json", "one page of several"),
        ("search_stream_customer_shape.json", "no metrics"),
        ("connector_records_subset.jsonl", "more than one JSON document"),
    ],
)
def test_real_answers_that_are_not_whole_spend_are_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, shared / "ad_spend/google_ads/api" / name, "ad_spend", account="m", currency="USD")


def test_micros_are_exact_and_what_is_zero_may_be_left_out(tmp_path: Path) -> None:
    free = RESULT | {"metrics": {"impressions": "3"}}
    odd = RESULT | {"metrics": {"costMicros": "9007199254740993"}}
    found = spend(tmp_path, answer(RESULT, free, odd), account=None)
    assert [row["cost"] for row in found.landed] == [
        Decimal("168.08"),
        Decimal(0),
        Decimal("9007199254.740993"),
    ]
    assert [row["clicks"] for row in found.landed] == [30, 0, 0]
    assert {row["account"] for row in found.landed} == {"1234567890"}


@pytest.mark.parametrize("micros", ["-1", "1.5", "many", None, []])
def test_a_cost_that_is_no_spend_is_quarantined(tmp_path: Path, micros: Any) -> None:
    found = spend(tmp_path, answer(RESULT, RESULT | {"metrics": {"costMicros": micros}}))
    assert [q.column for q in found.quarantined] == ["cost"]
    assert len(found.landed) == 1


@given(st.lists(st.none() | st.text('ab"[]+ \t\u00a0\u3000\x1c\x85\u2028č', max_size=6)))
def test_a_column_of_keywords_is_read_as_each_of_them(texts: list[str | None]) -> None:
    texts = [(text and text.strip()) or None for text in texts]  # as the report hands them over
    found = _google_ads_report._keywords(pa.array(texts, pa.string())).to_pylist()
    assert found == [None if text is None else _google_ads_report._keyword(text) for text in texts]


def test_keyword_and_ad_group_answers_have_their_level(tmp_path: Path) -> None:
    ad_group = RESULT | {"adGroup": {"id": "7", "name": "ENT"}}
    keyword = ad_group | {
        "adGroupCriterion": {"criterionId": "9", "keyword": {"text": "ent", "matchType": "EXACT"}}
    }
    assert spend(tmp_path, answer(ad_group)).landed[0]["report_level"] == "ad_group"
    landed = spend(tmp_path, answer(keyword)).landed[0]
    assert (landed["report_level"], landed["keyword"], landed["match_type"]) == ("keyword", "ent", "EXACT")
    assert "save one query per file" in refusal(tmp_path, answer(RESULT, keyword))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"results": [{"campaign": {"id": "1"}', "not whole JSON"),
        ('{"error": {"code": 403, "message": "x"}}', "error answer"),
        ('[{"error": {"code": 403}}]', "error answer"),
        ("[1]", "no batch"),
        ('{"a": 1}', "no answer"),
        ('[{"results": [{"a": {}}]}, {"error": {"code": 500}}]', "metrics"),
        ('[{"results": [5]}]', "no row"),
        ('[{"results": [{"campaign": 5}]}]', "no row"),
        (answer({"metrics": {"costMicros": "1"}}), "segments.date"),
        (answer(RESULT | {"customer": {}}), "currency"),
        (answer({"clickView": {"gclid": "x"}}), "folder `clicks`"),
    ],
)
def test_other_json_is_refused_whole(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


def test_an_answer_without_results_is_an_empty_report(tmp_path: Path) -> None:
    assert spend(tmp_path, '[{"fieldMask": "campaign.id", "requestId": "r"}]').raw == []
    assert spend(tmp_path, '{"results": [], "fieldMask": "campaign.id"}').raw == []


def test_clicks_tell_the_campaign_of_a_gclid(tmp_path: Path) -> None:
    click = {
        "clickView": {"gclid": "Cj0K_x-Y", "keywordInfo": {"text": "ent zagreb"}},
        "campaign": {"id": "20643300404"},
        "adGroup": {"id": "155311392438"},
        "segments": {"date": "2024-03-01", "device": "MOBILE"},
    }
    path = tmp_path / "clicks.json"
    path.write_text(answer(click, click | {"campaign": {}}))
    found = read(CONNECTOR, path, "clicks", account="main")
    assert found.reasons == ["campaign_id: is empty but required"]
    assert {k: v for k, v in found.landed[0].items() if not k.startswith("_")} == {
        "click_id": "Cj0K_x-Y",
        "clicked_on": date(2024, 3, 1),
        "account": "main",
        "campaign_id": "20643300404",
        "ad_group_id": "155311392438",
        "keyword": "ent zagreb",
    }
    path.write_text(answer(RESULT))
    with pytest.raises(FileRefused, match="no click_view"):
        read(CONNECTOR, path, "clicks")
    path.write_text(HEAD + COLUMNS)
    with pytest.raises(FileRefused, match="click_view answer"):
        read(CONNECTOR, path, "clicks")


def test_options_are_checked() -> None:
    with pytest.raises(ValidationError, match="strptime"):
        options(CONNECTOR, date_format="%H:%M")
    with pytest.raises(ValidationError):
        options(CONNECTOR, decimal=";")


def test_an_answer_without_any_cost_is_refused_lest_its_days_cost_nothing(tmp_path: Path) -> None:
    costless = RESULT | {"metrics": {"clicks": "80"}}
    assert "add metrics.cost_micros to the query" in refusal(tmp_path, answer(costless, costless))
    assert len(spend(tmp_path, answer(RESULT, costless)).landed) == 2


def test_an_error_behind_batches_makes_no_short_day(tmp_path: Path) -> None:
    whole = json.loads(answer(RESULT))
    assert "error answer" in refusal(tmp_path, json.dumps([*whole, {"error": {"code": 500}}]))


def test_a_saved_answer_whose_cost_is_nought_is_no_mistake(tmp_path: Path) -> None:
    free = RESULT | {"metrics": {"clicks": "8", "costMicros": "0"}}
    assert [row["cost"] for row in spend(tmp_path, answer(free)).landed] == [Decimal(0)]
