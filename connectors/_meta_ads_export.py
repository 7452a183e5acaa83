"""Exports of Ads Manager, and tables whose columns are called as the API calls its fields.

A CSV without preamble. The currency stands in the heading of the spend; `Day` is there with the breakdown
by day, else each row says where it starts and ends. A row of totals has no campaign, ad set or ad. Headings
and the number format are those of the interface's language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute

from connectors import _table
from connectors._settings import DateFormat
from connectors._table import UNREADABLE, Layout, Table
from connectors.contract import Block, ReadLog, Record, Row, SourceOptions
from connectors.errors import FileRefused
from connectors.files import InboxFile

pc: Any = pyarrow.compute

_REMEDY = (
    "in Ads Manager open Campaigns, choose Breakdown > By time > Day, then Export table data as .csv with "
    "the columns Day, Campaign name, Campaign ID, Amount spent, Impressions and Link clicks"
)


class ExportOptions(SourceOptions):
    """How an ad account's exports are written.

    `account` names the account where the file does not; `currency` likewise. `decimal` is the decimal mark
    where it is not the one usual in the interface's language, `date_format` the strptime format of days
    where they are not ISO 8601. `include_vat` says whether spend contains VAT.
    """

    decimal: Literal[".", ","] | None = None
    date_format: DateFormat | None = None
    include_vat: bool | None = None

    @property
    def own_account(self) -> str | None:
        """What the source's rows are filed under, whatever a file calls the account."""
        return self.account

    def is_other(self, named: str | None) -> bool:
        """Whether a file's account id is not this source's."""
        return False


@dataclass(frozen=True)
class _Language:
    """What a language is written with; `total` begins the name of a row of totals."""

    layout: Layout
    decimal: Literal[".", ","]
    days: tuple[str, ...] = ()
    total: str = ""


def _spent(words: str) -> re.Pattern[str]:
    return re.compile(rf"{words} \((?P<currency>[a-z]{{3}})\)")


def _layout(headings: Mapping[str, tuple[str | re.Pattern[str], ...]], ignored: str) -> Layout:
    listed = [" ".join(heading.split()) for heading in ignored.split(",")]
    return Layout(headings=headings, required=("cost",), ignored=listed, remedy=_REMEDY, within=12)


_ENGLISH = _Language(
    _layout(
        {
            "cost": (_spent("amount spent"), "Amount spent"),
            "spend_date": ("Day",),
            "since": ("Reporting starts",),
            "until": ("Reporting ends",),
            "account_id": ("Account ID",),
            "account_name": ("Account name",),
            "currency": ("Currency",),
            "campaign_id": ("Campaign ID",),
            "campaign_name": ("Campaign name",),
            "ad_group_id": ("Ad set ID",),
            "ad_group": ("Ad set name",),
            "ad_id": ("Ad ID",),
            "ad_name": ("Ad name",),
            "impressions": ("Impressions",),
            "clicks": ("Clicks (all)",),
            "link_clicks": ("Link clicks",),
        },
        """Campaign delivery, Ad set delivery, Ad delivery, Attribution setting, Results, Result indicator,
        Result type, Reach, Frequency, Cost per results, Cost per result, Ad set budget, Ad set budget type,
        Campaign budget, Campaign budget type, Ends, Starts, Bid, Bid type, Objective, Landing page views,
        CTR (all), CTR (link click-through rate), Delivery status, Delivery level""",
    ),
    ".",
    total="results from ",
)
_FRENCH = _Language(
    _layout(
        {
            "cost": (_spent("montant dépensé"), "Montant dépensé"),
            "spend_date": ("Jour",),
            "since": ("Début des rapports",),
            "until": ("Fin des rapports",),
            "account_id": ("Identifiant du compte", "ID du compte"),
            "account_name": ("Nom du compte",),
            "currency": ("Devise",),
            "campaign_id": ("Identifiant de la campagne", "ID de la campagne"),
            "campaign_name": ("Nom de la campagne",),
            "ad_group_id": (
                "Identifiant de l'ensemble de publicités",
                "Identifiant de l’ensemble de publicités",
            ),
            "ad_group": ("Nom de l'ensemble de publicités", "Nom de l’ensemble de publicités"),
            "ad_id": ("Identifiant de la publicité",),
            "ad_name": ("Nom de la publicité",),
            "impressions": ("Impressions",),
            "clicks": ("Clics (tous)",),
            "link_clicks": ("Clics sur un lien", "Clics sur le lien"),
        },
        """Résultats, Indicateur de résultats, Couverture, Portée, Répétition, Fréquence, Coût par résultat,
        Coût par résultats, Diffusion de la campagne, Paramètre d'attribution, Paramètre d’attribution""",
    ),
    ",",
    ("%d/%m/%Y",),
    "résultats de ",
)
_GERMAN = _Language(
    _layout(
        {
            "cost": (_spent("ausgegebener betrag"), "Ausgegebener Betrag"),
            "spend_date": ("Tag",),
            "since": ("Berichtsstart",),
            "until": ("Berichtsende",),
            "account_id": ("Konto-ID",),
            "account_name": ("Kontoname",),
            "currency": ("Währung",),
            "campaign_id": ("Kampagnen-ID",),
            "campaign_name": ("Kampagnenname",),
            "ad_group_id": ("Anzeigengruppen-ID",),
            "ad_group": ("Anzeigengruppenname", "Name der Anzeigengruppe"),
            "ad_id": ("Anzeigen-ID",),
            "ad_name": ("Anzeigenname", "Name der Anzeige"),
            "impressions": ("Impressionen",),
            "clicks": ("Klicks (alle)",),
            "link_clicks": ("Link-Klicks",),
        },
        "Ergebnisse, Ergebnis-Indikator, Reichweite, Frequenz, Kosten pro Ergebnis, Kampagnenauslieferung",
    ),
    ",",
    ("%d.%m.%Y",),
    "ergebnisse aus ",
)
_SPANISH = _Language(
    _layout(
        {
            "cost": (_spent("importe gastado"), "Importe gastado"),
            "spend_date": ("Día",),
            "since": ("Inicio del informe",),
            "until": ("Fin del informe", "Finalización del informe"),
            "account_id": ("Identificador de la cuenta", "ID de la cuenta"),
            "account_name": ("Nombre de la cuenta",),
            "currency": ("Divisa",),
            "campaign_id": ("Identificador de la campaña", "ID de la campaña"),
            "campaign_name": ("Nombre de la campaña",),
            "ad_group_id": ("Identificador del conjunto de anuncios", "ID del conjunto de anuncios"),
            "ad_group": ("Nombre del conjunto de anuncios",),
            "ad_id": ("Identificador del anuncio", "ID del anuncio"),
            "ad_name": ("Nombre del anuncio",),
            "impressions": ("Impresiones",),
            "clicks": ("Clics (todos)",),
            "link_clicks": ("Clics en el enlace",),
        },
        "Resultados, Indicador de resultado, Alcance, Frecuencia, Coste por resultado, Entrega de la campaña",
    ),
    ",",
    ("%d/%m/%Y",),
    "resultados de ",
)
# Tables of other tools, and the public data set KAG.
_FIELDS = _Language(
    _layout(
        {
            "cost": ("spend", "spent"),
            "spend_date": ("date",),
            "since": ("date_start",),
            "until": ("date_stop",),
            "account_id": ("account_id",),
            "account_name": ("account_name",),
            "currency": ("account_currency",),
            "campaign_id": ("campaign_id", "xyz_campaign_id"),
            "campaign_name": ("campaign_name",),
            "ad_group_id": ("adset_id", "fb_campaign_id"),
            "ad_group": ("adset_name",),
            "ad_id": ("ad_id",),
            "ad_name": ("ad_name",),
            "impressions": ("impressions",),
            "clicks": ("clicks",),
            "link_clicks": ("inline_link_clicks",),
        },
        """reach, frequency, age, gender, interest, country, region, total_conversion, approved_conversion,
        _fivetran_id, _fivetran_synced""",
    ),
    ".",
)
_LANGUAGES = {
    "English": _ENGLISH,
    "French": _FRENCH,
    "German": _GERMAN,
    "Spanish": _SPANISH,
    "fields of the API": _FIELDS,
}
_UNITS = ("ad_id", "ad_name", "ad_group_id", "ad_group", "campaign_id", "campaign_name")
_LEVELS = {"ad_id": "ad", "ad_name": "ad", "ad_group_id": "ad_group", "ad_group": "ad_group"}
_COUNTS = ("impressions", "clicks", "link_clicks")
# Currencies with three decimals, where `1.234` is an amount and not a mistaken thousand.
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_ROUNDING = Decimal("0.005")
_RUINED = r"^\d+(?:[.,]\d+)?[eE]\+?\d+$"


def export_records(file: InboxFile, source: ExportOptions, tax_basis: str, log: ReadLog) -> Iterator[Record]:
    """Yield an export's rows in blocks. Raises FileRefused, see meta_ads."""
    table = _table.open_table(file, {name: lang.layout for name, lang in _LANGUAGES.items()}, log)
    return _Export(table, source, tax_basis, log).records()


@dataclass
class _Totals:
    """Rows of totals: over all days, and of single ones."""

    whole: list[dict[str, Decimal]] = field(default_factory=list)
    of_days: list[dict[str, Decimal]] = field(default_factory=list)

    def printed(self, measure: str) -> Decimal | None:
        """What the export says in all."""
        if self.whole:
            return max(total.get(measure, Decimal(0)) for total in self.whole)
        return sum((t.get(measure, Decimal(0)) for t in self.of_days), Decimal(0)) if self.of_days else None


class _Export:
    """One export: what its header says, and its rows."""

    def __init__(self, table: Table, source: ExportOptions, tax_basis: str, log: ReadLog) -> None:
        self._table = table
        self._source = source
        self._tax_basis = tax_basis
        self._log = log
        self._language = _LANGUAGES[table.language]
        # A spreadsheet's numbers are numbers, whatever the language.
        is_sheet = table.file.suffix in (".xlsx", ".xlsm")
        self._decimal = "." if is_sheet else (source.decimal or self._language.decimal)
        self._units = [name for name in _UNITS if name in table.headings]
        self._counts = [name for name in _COUNTS if name in table.headings]
        self._totals = _Totals()
        self._sums = dict.fromkeys(("cost", *self._counts), Decimal(0))
        self._read = 0
        self._accounts: set[str] = set()
        self._require_columns()
        self._currency = self._stated_currency()

    def _require_columns(self) -> None:
        have, name = self._table.headings, self._table.file.name
        if not self._units:
            raise FileRefused(f"{name}: names no campaign, ad set or ad; {_REMEDY}")
        if "spend_date" not in have and not {"since", "until"} <= have.keys():
            raise FileRefused(f"{name}: no column Day, so spend cannot be dated; {_REMEDY}")
        if self._source.own_account is None and not {"account_id", "account_name"} & have.keys():
            raise FileRefused(f"{name}: names no account; set `account:` of the source, or add the column")

    def _stated_currency(self) -> str | None:
        """The currency of the heading, else of the source; None when only a column tells."""
        name, configured = self._table.file.name, self._source.currency
        stated = self._table.match("cost").get("currency", "").upper() or None
        if None not in (stated, configured) and stated != configured:
            raise FileRefused(f"{name}: is in {stated}, not in {configured}; mend `currency` of the source")
        if stated is None and configured is None and "currency" not in self._table.headings:
            raise FileRefused(f"{name}: tells no currency; set `currency:` of the source")
        return stated or configured

    def records(self) -> Iterator[Record]:
        for whole in self._table.blocks():
            block, totals = _table.split(whole, self._is_total(whole))
            for row in totals:
                self._keep(row)
            if len(block):
                self._fill(block)
                yield block
        self._check_totals()

    def _is_total(self, block: Block) -> Any:
        """Rows without a campaign, ad set or ad, or called `Results from 12 campaigns`."""
        is_total = None
        for name in self._units:
            values = block.columns[name]
            here = pc.or_kleene(values.is_null(), pc.equal(pc.utf8_trim_whitespace(values), ""))
            is_total = here if is_total is None else pc.and_(is_total, here)
        if self._language.total:
            label = rf"(?i)^{self._language.total}\d+ "
            for name in self._units:
                labelled = pc.fill_null(pc.match_substring_regex(block.columns[name], label), False)
                is_total = pc.or_(is_total, labelled)
        return is_total

    def _keep(self, row: Row) -> None:
        self._log.skip("total row")
        get = row.values.get
        total = {}
        for name in ("cost", *self._counts):
            number = _table.numbers(pa.array([get(name)], pa.string()), self._decimal)[0].as_py()
            if number not in (None, UNREADABLE):
                total[name] = Decimal(number)
        is_of_day = get("spend_date") or (get("since") is not None and get("since") == get("until"))
        if "spend_date" in self._table.headings and not get("spend_date"):
            is_of_day = False
        (self._totals.of_days if is_of_day else self._totals.whole).append(total)

    def _fill(self, block: Block) -> None:
        """Make an export's columns those of the stream."""
        columns = block.columns
        columns["spend_date"] = self._days(block)
        currency = self._currencies(block)
        columns["currency"] = currency
        columns["account"] = self._account(block)
        for name in self._counts:
            columns[name] = self._number(block, name)
        cost = self._number(block, "cost")
        if self._source.decimal is None and self._language is not _FIELDS:
            self._require_known_mark(block, cost)
        if "impressions" in columns:
            # Nothing was shown: the cell of the spend is empty too.
            idle = pc.and_(cost.is_null(), pc.equal(columns["impressions"], "0"))
            cost = pc.if_else(idle, "0", cost)
        columns["cost"] = cost
        _table.refuse(
            block, pc.starts_with(cost, "-"), "cost", "is negative; credits belong into a cost sheet"
        )
        for name in ("campaign_id", "ad_group_id", "ad_id"):
            if name in columns:
                ruined = pc.match_substring_regex(columns[name], _RUINED)
                _table.refuse(
                    block, ruined, name, "was ruined by a spreadsheet (1,23E+10); export it as text"
                )
        columns["report_level"] = _table.constant(_LEVELS.get(self._units[0], "campaign"), block)
        columns["tax_basis"] = _table.constant(self._tax_basis, block)
        for name in ("since", "until", "account_id", "account_name"):
            columns.pop(name, None)
        for name in self._sums:
            self._sums[name] += _table.total(columns[name])
        self._read += len(block)

    def _days(self, block: Block) -> Any:
        formats = (*((self._source.date_format,) if self._source.date_format else ()), *self._language.days)
        if "spend_date" in block.columns:
            found = _table.days(block.columns["spend_date"], formats)
        else:
            found, until = (_table.days(block.columns[name], formats) for name in ("since", "until"))
            longer = pc.index(pc.fill_null(pc.not_equal(found, until), False), True).as_py()
            if longer >= 0:
                line = block.numbers[longer].as_py()
                raise FileRefused(
                    f"{self._table.file.name}: line {line} is a total of several days, not of one; {_REMEDY}"
                )
        why = "is not a day; set `date_format:` of the source"
        _table.refuse(block, pc.equal(found, UNREADABLE), "spend_date", why)
        return found

    def _number(self, block: Block, name: str) -> Any:
        read = _table.numbers(block.columns[name], self._decimal)
        block.columns[name] = read
        self._table.require(
            block,
            name,
            f"is not written as a number with the decimal mark {self._decimal!r}; "
            "set `decimal:` of the source to the export's number format",
        )
        if name != "cost":
            read = pc.fill_null(read, "0")
            if pc.any(pc.match_substring(read, ".")).as_py():
                raise FileRefused(
                    f"{self._table.file.name}: {self._table.headings[name]} has decimals; "
                    "set `decimal:` of the source to the export's number format"
                )
        return read

    def _require_known_mark(self, block: Block, cost: Any) -> None:
        if self._currency in _THREE_DECIMALS:
            return
        doubtful = pc.index(pc.fill_null(pc.match_substring_regex(cost, r"\.\d{3}$"), False), True).as_py()
        if doubtful >= 0:
            raise FileRefused(
                f"{self._table.file.name}: line {block.numbers[doubtful].as_py()}: "
                f"{self._table.headings['cost']} has three decimals, so its mark may group thousands; "
                "set `decimal:` of the source to the export's number format"
            )

    def _currencies(self, block: Block) -> Any:
        if "currency" not in block.columns or self._table.match("cost").get("currency"):
            return _table.constant(self._currency, block)
        told = pc.utf8_upper(block.columns["currency"])
        configured = self._source.currency
        if configured is not None and pc.any(pc.fill_null(pc.not_equal(told, configured), False)).as_py():
            raise FileRefused(
                f"{self._table.file.name}: has rows that are not in {configured}; "
                "mend `currency` of the source, or export one account"
            )
        return told if configured is None else pc.fill_null(told, configured)

    def _account(self, block: Block) -> Any:
        own = self._source.own_account
        ids, names = block.columns.get("account_id"), block.columns.get("account_name")
        named = ids if ids is not None else names
        if own is None:
            return named
        if named is not None:
            self._accounts |= set(pc.unique(named.drop_null()).to_pylist())
        if ids is not None and any(self._source.is_other(account) for account in self._accounts):
            raise FileRefused(
                f"{self._table.file.name}: is of another account than `account_id:` of the source; "
                "put it into the folder of a source of its own"
            )
        if len(self._accounts) > 1:
            raise FileRefused(
                f"{self._table.file.name}: holds several accounts, but the source is `account: {own}`; "
                "export one account, or drop `account:` of the source"
            )
        return _table.constant(own, block)

    def _check_totals(self) -> None:
        """Keep the printed totals. Raises FileRefused when the rows add up to less."""
        for measure, summed in self._sums.items():
            printed = self._totals.printed(measure)
            if printed is None:
                continue
            self._log.control_totals["total", measure] = printed
            if measure != "cost":
                continue
            gap, rounding = printed - summed, _ROUNDING * (self._read + 1)
            if gap > rounding:
                raise FileRefused(
                    f"{self._table.file.name}: its rows add up to {summed}, but it prints {printed} in all; "
                    "rows are missing, export it again"
                )
            if -gap > rounding:
                self._log.notes.append(f"rows add up to {summed}, the export says {printed} in all")
