"""1C: visits, money and patients of a clinic that keeps its books in 1C, by OData or from exported tables.

Two routes into the same streams. By OData (see connectors/_onec_odata.py) posted documents are read, whose
names and fields differ between configurations and are set in clinic.yaml. From files, the tables that 1C and
the medical systems built on it export (CSV, TSV, XLSX, in Windows-1251 or UTF-8) are read by their usual
Russian headings (see connectors/_onec_headings.py), with the reader of connectors/mapped_file.py.

A document has no time of its last change in the standard interface, so the current and the two closed months
are read every night; whoever re-opens an older month backfills it.

    python -m connectors.onec --stream visits приемы.csv
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator

from connectors import cli
from connectors._mapped_tables import TABLES
from connectors._onec_headings import HEADINGS, default_mapping, mapping_of
from connectors._onec_odata import (
    DEFAULT_PAYMENTS,
    Infobase,
    NameCatalogs,
    PatientCatalog,
    PaymentDocuments,
    Rows,
    Settings,
    VisitDocuments,
    catalog_rows,
    patient_rows,
    payment_rows,
    visit_rows,
)
from connectors._settings import Delimiter, Encoding
from connectors.contract import (
    Column,
    Connector,
    ReadLog,
    Record,
    Route,
    Row,
    SourceOptions,
    Stream,
    Window,
)
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.mapped_file import CONNECTOR as MAPPED
from connectors.mapped_file import Formats, MappedFileOptions, StreamMapping, Texts

# The current month and two that are closed and may be opened again.
_RESTATED_DAYS = 92
# 1C prints midnight for a day without a time.
_MOMENTS = (
    "%d.%m.%Y 0:00:00",
    "%d.%m.%Y 00:00:00",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%y %H:%M",
)
_DAYS = ("%d.%m.%Y", "%d.%m.%y")
# People of all sorts, patients among them: their names must not pass for those of doctors.
_PEOPLE = frozenset({"Catalog_ФизическиеЛица", "Catalog_Контрагенты", "Catalog_Пациенты", "Catalog_Клиенты"})

_DOCUMENT = Column("document", "text", "Document that it was read from, by OData.")
_DATA_VERSION = Column("data_version", "text", "DataVersion: changes with each write of the document.")


def _extended(name: str, description: str, *columns: Column, restatement_days: int = 0) -> Stream:
    table = TABLES[name].stream
    return replace(
        table,
        description=description,
        columns=(*table.columns, *columns),
        restatement_days=restatement_days,
    )


VISITS = _extended(
    "visits",
    "Visits: lines of posted documents, or of an exported list. One row per service of a visit.",
    _DOCUMENT,
    _DATA_VERSION,
    Column("service_key", "text", "Reference to the service's name."),
    Column("doctor_key", "text", "Reference to the doctor's name."),
    Column("branch_key", "text", "Reference to the branch's name."),
    Column("room_key", "text", "Reference to the room's name."),
    restatement_days=_RESTATED_DAYS,
)
PAYMENTS = _extended(
    "payments",
    "Money of patients: posted documents, or an exported list. Refunds are negative.",
    _DOCUMENT,
    Column("operation", "text", "Operation that the document tells."),
    _DATA_VERSION,
    restatement_days=_RESTATED_DAYS,
)
PATIENTS = _extended("patients", "Patients: a catalogue's cards, or an exported list, without names.")
CATALOGS = Stream(
    name="catalogs",
    description="Names of services, doctors and branches.",
    columns=(
        Column("ref_key", "text", "Ref_Key.", required=True),
        Column("catalog", "text", "Catalogue."),
        Column("name", "text", "Description."),
    ),
    primary_key=("ref_key",),
)


class FileMapping(StreamMapping):
    """What a clinic's own export of a stream has otherwise than usual; see mapped_file.StreamMapping."""

    columns: dict[str, Texts] = Field(default_factory=dict)


class OnecOptions(SourceOptions):
    """A source of kind `onec`.

    By OData: `base_url` (…/odata/standard.odata), `user`, `password`, and `visits`, `payments`, `patients`,
    `catalogs` where the configuration is not accounting's. From files: `encoding`, `delimiter`, `decimal`,
    `datetime_format`, `date_format`, and `files` for headings and texts that are not the usual ones.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url", "user"})

    kind: Literal["onec"] = "onec"
    base_url: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    visits: VisitDocuments = VisitDocuments()
    payments: tuple[PaymentDocuments, ...] | None = None
    patients: PatientCatalog = PatientCatalog()
    catalogs: NameCatalogs = NameCatalogs()
    encoding: Encoding | None = None
    delimiter: Delimiter | None = None
    decimal: Literal[",", "."] = ","
    datetime_format: Formats = _MOMENTS
    date_format: Formats = _DAYS
    files: dict[Literal["visits", "payments", "patients"], FileMapping] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> OnecOptions:
        needed = ("base_url", "user", "password")
        given = [name for name in needed if getattr(self, name) is not None]
        if given and len(given) < len(needed):
            missing = ", ".join(name for name in needed if name not in given)
            raise ValueError(f"{given[0]} is given: OData needs {missing} too")
        if people := set(self.catalogs.all) & (_PEOPLE | {self.patients.catalog}):
            raise ValueError(
                f"{min(people)} holds patients: as a catalogue of names it would let their names in; "
                "name a catalogue of staff alone"
            )
        for stream in HEADINGS:
            self._check(stream)
        return self

    def own(self, stream: str) -> StreamMapping:
        """The clinic's own mapping of a stream's files."""
        found = next((mapping for name, mapping in self.files.items() if name == stream), None)
        return StreamMapping.model_validate({"columns": {}, **({} if found is None else found.model_dump())})

    def mapped(self, stream: str, mapping: StreamMapping) -> MappedFileOptions:
        """The options under which mapped_file reads files of a stream. Raises ValidationError."""
        return MappedFileOptions.model_validate(
            {
                "kind": "mapped_file",
                **{name: getattr(self, name) for name in SourceOptions.model_fields if name != "kind"},
                "encoding": self.encoding,
                "delimiter": self.delimiter,
                "decimal": self.decimal,
                "datetime_format": self.datetime_format,
                "date_format": self.date_format,
                "streams": {stream: mapping.model_dump()},
            }
        )

    def _check(self, stream: str) -> None:
        """Try what `files` says before anything is read. Raises ValueError in the words of mapped_file."""
        try:
            self.mapped(stream, default_mapping(stream, self.own(stream)))
        except ValidationError as error:
            said = "; ".join(
                f"files.{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}"
                for fault in error.errors()
            )
            raise ValueError(said) from None

    @property
    def settings(self) -> Settings:
        """What the reading of documents needs."""
        return Settings(
            visits=self.visits,
            payments=DEFAULT_PAYMENTS if self.payments is None else self.payments,
            patients=self.patients,
            zone=self.zone,
            currency=self.currency,
        )


class Onec(Connector[OnecOptions]):
    """A clinic's 1C."""

    kind: ClassVar[str] = "onec"
    title: ClassVar[str] = "1C:Enterprise"
    options: ClassVar[type[SourceOptions]] = OnecOptions
    feeds: ClassVar[tuple[str, ...]] = ("appointments", "visits", "visit_lines", "payments", "patients")
    parser_version: ClassVar[int] = 100 + MAPPED.parser_version

    def streams(self, source: OnecOptions) -> tuple[Stream, ...]:
        """The same for every configuration."""
        return (VISITS, PAYMENTS, PATIENTS, CATALOGS)

    def route(self, source: OnecOptions, stream: Stream) -> Route | None:
        """Documents by day, catalogues whole."""
        if source.password is None:
            return None
        return Route(window_days=31) if stream.event_day is not None else Route("whole")

    def fetch(self, source: OnecOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of a window's documents, or of whole catalogues. Raises ApiError."""
        infobase = _infobase(source)
        settings = source.settings
        rows = Rows(stream.group_key[0])
        match stream.name:
            case "visits":
                how = settings.visits
                make = partial(visit_rows, settings=settings, log=log)
                for item in infobase.documents(how.document, window, how.date):
                    yield from rows.of(item, make)
            case "payments":
                for kind in settings.payments:
                    make = partial(payment_rows, how=kind, settings=settings, log=log)
                    # Of the usual documents a configuration need not have all.
                    lacking = log if source.payments is None else None
                    for item in infobase.documents(kind.document, window, kind.date, lacking=lacking):
                        yield from rows.of(item, make)
            case "patients":
                make = partial(patient_rows, settings=settings, log=log)
                for item in infobase.catalog(settings.patients.catalog):
                    yield from rows.of(item, make)
            case _:
                yield from _names(infobase, source, rows, log)

    def probe(self, source: OnecOptions) -> str:
        """Ask what is published, and say what of the configured is not."""
        published = _infobase(source).entities()
        wanted = [
            source.visits.document,
            *(kind.document for kind in source.settings.payments),
            source.patients.catalog,
            *source.catalogs.all,
        ]
        missing = [name for name in wanted if name not in published]
        found = (
            f"answers; {len(wanted) - len(missing)} of {len(wanted)} documents and catalogues are published"
        )
        return f"{found}; not published: {', '.join(missing)}" if missing else found

    def read(self, file: InboxFile, stream: Stream, source: OnecOptions, log: ReadLog) -> Iterator[Record]:
        """Yield the rows of an exported table, or of a saved answer of OData.

        Raises FileRefused: empty, no header with what is needed, an answer for something else.
        """
        if file.first_character() == "{":
            yield from _saved(file, stream, source, log)
            return
        if stream.name not in HEADINGS:
            raise FileRefused(f"{file.name}: {stream.name} is read from 1C's OData only")
        if file.first_character() == "<":
            raise FileRefused(f"{file.name}: is a web page, no export; save the table as CSV or XLSX")
        mapping = mapping_of(
            file, stream.name, source.own(stream.name), delimiter=source.delimiter, encoding=source.encoding
        )
        table = TABLES[stream.name].stream
        yield from MAPPED.read(file, table, source.mapped(stream.name, mapping), log)


def _infobase(source: OnecOptions) -> Infobase:
    assert source.base_url is not None
    assert source.user is not None
    assert source.password is not None
    return Infobase(source.name, source.base_url, source.user, source.password)


def _names(infobase: Infobase, source: OnecOptions, rows: Rows, log: ReadLog) -> Iterator[Row]:
    """Names of what visits refer to; those that no field refers to are not asked for."""
    how, catalogs = source.visits, source.catalogs
    pairs = (
        (catalogs.service, how.service),
        (catalogs.doctor, how.doctor),
        (catalogs.branch, how.branch),
        (catalogs.room, how.room),
    )
    for catalog in dict.fromkeys(catalog for catalog, field in pairs if catalog and field):
        # Not every configuration divides itself.
        lacking = log if catalog == NameCatalogs().branch else None
        for item in infobase.catalog(catalog, lacking=lacking):
            yield from rows.of(item, partial(catalog_rows, catalog=catalog))


def _saved(file: InboxFile, stream: Stream, source: OnecOptions, log: ReadLog) -> Iterator[Row]:
    """Rows of a saved answer, which names its document or catalogue itself."""
    entity, has_value = "", False
    for name, event, value in file.json_head():
        if name == "odata.metadata" and isinstance(value, str):
            entity = value.rpartition("#")[2]
        if name == "odata.error":
            raise FileRefused(f"{file.name}: holds an error of 1C, no data; ask for it again")
        has_value = has_value or (name == "value" and event == "start_array")
    if not has_value:
        raise FileRefused(f"{file.name}: has no `value`; save the answer of OData as it came, in JSON")
    settings = source.settings
    payments = {kind.document: kind for kind in settings.payments}
    expected = {
        "visits": (settings.visits.document,),
        "payments": tuple(payments),
        "patients": (settings.patients.catalog,),
    }.get(stream.name, source.catalogs.all)
    if entity not in expected:
        raise FileRefused(
            f"{file.name}: is an answer for {entity or 'nothing named'}; "
            f"{stream.name} reads {', '.join(expected)}"
        )
    make: Any
    match stream.name:
        case "visits":
            make = partial(visit_rows, settings=settings, log=log)
        case "payments":
            make = partial(payment_rows, how=payments[entity], settings=settings, log=log)
        case "patients":
            make = partial(patient_rows, settings=settings, log=log)
        case _:
            make = partial(catalog_rows, catalog=entity)
    rows = Rows(stream.group_key[0])
    for _, item in file.json_items("value.item"):
        yield from rows.of(item, make)


CONNECTOR = Onec()

if __name__ == "__main__":
    cli.main(CONNECTOR)
