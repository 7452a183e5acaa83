"""clinic.yaml: read, checked whole, and turned into what the connectors and dbt need.

Every mistake is one line with the file, the key's path, what is wrong and what is accepted; nothing
else has happened by then.
"""

from __future__ import annotations

import difflib
import os
import re
import types
import typing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors import registry
from connectors.conformed import INPUTS
from connectors.contract import Currency, SourceOptions, Stream, Type, Zone
from connectors.privacy import to_e164
from pipelines.reference import reference_streams

DUCKDB_TYPES: dict[Type, str] = {
    "text": "varchar",
    "integer": "bigint",
    "decimal": "decimal(18,6)",
    "double": "double",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "date": "date",
    "text[]": "varchar[]",
}
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Filled in by the loader; never shown as accepted keys.
_FILLED = frozenset({"name", "clinic_timezone", "clinic_currency", "clinic_phone_region"})


class ConfigError(Exception):
    """The configuration is wrong. `str()` is one line per mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class VatRate(_Block):
    """A VAT rate (0.25 is 25 %) from a day on."""

    since: date
    rate: Decimal = Field(ge=0, lt=1)


def _as_rates(value: object) -> object:
    return [{"since": date(1970, 1, 1), "rate": value}] if isinstance(value, (int, float, str)) else value


class ClinicBlock(_Block):
    """Who the clinic is."""

    name: str = Field(min_length=1)
    timezone: Zone
    currency: Currency
    phone_region: str
    brand_terms: tuple[str, ...] = ()
    own_numbers: tuple[str, ...] = ()
    vat_recoverable: bool = False
    # Needed to add VAT to spend that ad platforms report without it; one rate, or a dated list.
    vat_rates: Annotated[tuple[VatRate, ...], BeforeValidator(_as_rates)] = ()
    history_margin_days: int = Field(default=180, ge=0)

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        if value not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("write the two-letter ISO 3166 country code, e.g. HR")
        return value

    @field_validator("brand_terms")
    @classmethod
    def _terms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not term.strip() for term in value):
            raise ValueError("an empty brand term would match every campaign")
        return tuple(term.strip().casefold() for term in value)


class AttributionBlock(_Block):
    """How credit is given."""

    lookback_days: int = Field(default=90, ge=1, le=730)
    default_model: Literal[
        "first_touch",
        "last_touch",
        "last_non_direct",
        "last_paid",
        "linear",
        "position_based",
        "time_decay",
        "w_shape",
        "removal_effect",
        "shapley_set",
    ] = "last_non_direct"
    half_life_days: int = Field(default=7, ge=1)


class TagWord(_Block):
    """What a tag of the call tracker says: that the call is spam, is irrelevant, or how good it was.

    `pattern` is a regular expression (RE2) over the tag's whole name without its type, case ignored. `score`
    is the worth of the call, from 0, the worst, to 1, the best; where the meaning is score, and only there.
    """

    pattern: str = Field(min_length=1)
    meaning: Literal["spam", "irrelevant", "score"]
    score: Decimal | None = Field(default=None, ge=0, le=1, decimal_places=4)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            pc.match_substring_regex(pa.array([""]), value)
        except pa.ArrowInvalid:
            raise ValueError("no regular expression; escape ( ) [ ] { } . * + ? | with \\") from None
        return value

    @model_validator(mode="after")
    def _scored(self) -> TagWord:
        if (self.meaning == "score") != (self.score is not None):
            raise ValueError("write score, from 0 to 1, where the meaning is score, and only there")
        return self


class CallsBlock(_Block):
    """What counts as a unique and as a target call, and what the call tracker's tags mean."""

    unique_days: int = Field(default=30, ge=1)
    target_min_seconds: int = Field(default=30, ge=0)
    # Asked before the built-in words of nine languages.
    tag_words: tuple[TagWord, ...] = ()


class PrivacyBlock(_Block):
    """What is hashed beyond phones and e-mails."""

    hash_record_ids: bool = False


class PublishBlock(_Block):
    """What is kept of earlier nights."""

    keep: int = Field(default=7, ge=1)


class _Document(_Block):
    clinic: ClinicBlock
    attribution: AttributionBlock = AttributionBlock()
    calls: CallsBlock = CallsBlock()
    privacy: PrivacyBlock = PrivacyBlock()
    publish: PublishBlock = PublishBlock()
    sources: dict[str, dict[str, Any]] = {}


class Clinic(_Block):
    """A checked configuration together with where the data lies."""

    config_path: Path
    data_dir: Path
    clinic: ClinicBlock
    attribution: AttributionBlock
    calls: CallsBlock
    privacy: PrivacyBlock
    publish: PublishBlock
    sources: dict[str, SourceOptions]

    @property
    def timezone(self) -> ZoneInfo:
        """The clinic's own zone."""
        return self.clinic.timezone

    def kinds(self) -> list[str]:
        """The configured kinds, sorted."""
        return sorted({source.kind for source in self.sources.values()})

    def sources_of(self, kind: str) -> list[SourceOptions]:
        """The sources of a kind, in the order of their names."""
        return [source for _, source in sorted(self.sources.items()) if source.kind == kind]

    def api_sources(self) -> list[SourceOptions]:
        """The sources of which at least one stream is read from an API, in the order of their names."""
        found = []
        for _, source in sorted(self.sources.items()):
            connector = registry.connector(source.kind)
            if any(connector.route(source, stream) is not None for stream in connector.streams(source)):
                found.append(source)
        return found

    def streams(self) -> list[tuple[str, Stream]]:
        """(kind, stream) of everything that lands, reference tables included, each once."""
        found: dict[tuple[str, str], Stream] = {("reference", s.name): s for s in reference_streams()}
        for kind in self.kinds():
            for source in self.sources_of(kind):
                for stream in registry.connector(kind).streams(source):
                    found.setdefault((kind, stream.name), stream)
        return [(kind, stream) for (kind, _), stream in found.items()]

    def feeds(self) -> dict[str, list[str]]:
        """Conformed or reference table -> the kinds that feed it, as this clinic is configured."""
        tables: dict[str, list[str]] = {table: [] for table in INPUTS}
        for kind in self.kinds():
            connector = registry.connector(kind)
            for table in sorted({t for source in self.sources_of(kind) for t in connector.feeds_of(source)}):
                tables.setdefault(table, []).append(kind)
        return tables

    def web_sources(self) -> list[SourceOptions]:
        """The sources that have web sessions, in the order of their names."""
        return [
            source
            for _, source in sorted(self.sources.items())
            if "web_sessions" in registry.connector(source.kind).feeds_of(source)
        ]

    def sessions_of_record(self) -> list[str]:
        """Names of the sources whose web sessions count: those marked, else all that have sessions."""
        web = self.web_sources()
        marked = [source for source in web if getattr(source, "sessions_of_record", False)]
        return [source.name for source in marked or web]

    def dbt_vars(self) -> dict[str, Any]:
        """The variables that every dbt command gets (see dbt_project.yml for their meaning)."""
        return {
            "landing_dir": str((self.data_dir / "landing").resolve()),
            "kinds": self.kinds(),
            "streams": [[kind, stream.name] for kind, stream in self.streams()],
            "feeds": self.feeds(),
            "inputs": {
                table: {"source_name": "varchar", **{c.name: DUCKDB_TYPES[c.type] for c in columns}}
                for table, columns in INPUTS.items()
            },
            "timezone": self.clinic.timezone.key,
            "currency": self.clinic.currency,
            "brand_terms": list(self.clinic.brand_terms),
            "vat_recoverable": self.clinic.vat_recoverable,
            "vat_rates": [
                {"since": rate.since.isoformat(), "rate": float(rate.rate)} for rate in self.clinic.vat_rates
            ],
            "history_margin_days": self.clinic.history_margin_days,
            "lookback_days": self.attribution.lookback_days,
            "default_model": self.attribution.default_model,
            "half_life_days": self.attribution.half_life_days,
            "unique_days": self.calls.unique_days,
            "target_min_seconds": self.calls.target_min_seconds,
            "tag_words": [word.model_dump(mode="json", exclude_none=True) for word in self.calls.tag_words],
            "sessions_of_record": self.sessions_of_record(),
        }


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where YAML would silently keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is written twice (line {line})")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_clinic(config: Path, data_dir: Path) -> Clinic:
    """Read and check clinic.yaml. Raises ConfigError with every mistake found."""
    where = config.name
    try:
        text = config.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{config}: no such file; `firstvisit init` writes one to start from"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{config}: cannot be read ({error.__class__.__name__})"]) from error
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError([f"{where}{place}: not valid YAML: {getattr(error, 'problem', error)}"]) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"{where}: is empty; `firstvisit init` writes one to start from"])
    mistakes: list[str] = []
    _refuse_written_secrets(raw, where, mistakes)
    raw = _expand(raw, "", where, mistakes)
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(mistakes + _lines(error, _Document, where, "")) from None
    sources: dict[str, SourceOptions] = {}
    for name, block in document.sources.items():
        if source := _source(name, block, document.clinic, where, mistakes):
            sources[name] = source
    for number in document.clinic.own_numbers:
        if to_e164(number, document.clinic.phone_region) is None:
            mistakes.append(f"{where}: clinic.own_numbers: {number!r} is not a phone number")
    if mistakes:
        raise ConfigError(mistakes)
    clinic = Clinic(
        config_path=config,
        data_dir=data_dir,
        sources=sources,
        **{name: getattr(document, name) for name in _Document.model_fields if name != "sources"},
    )
    web = clinic.web_sources()
    if len({source.kind for source in web}) > 1 and len(clinic.sessions_of_record()) == len(web):
        names = ", ".join(source.name for source in web)
        mistake = f"{where}: sources: {names} all count web sessions, and a visit must count once; "
        raise ConfigError([mistake + "set `sessions_of_record: true` on one of them"])
    return clinic


def _source(
    name: str, block: dict[str, Any], clinic: ClinicBlock, where: str, mistakes: list[str]
) -> SourceOptions | None:
    path = f"sources.{name}"
    if not _SOURCE_NAME.fullmatch(name):
        mistakes.append(
            f"{where}: {path}: a source's name is lower-case letters, digits and _, e.g. google_ads"
        )
        return None
    kind = block.get("kind")
    if kind not in registry.kinds():
        guess = difflib.get_close_matches(str(kind), registry.kinds(), n=1)
        hint = f"; did you mean {guess[0]}?" if guess else ""
        mistakes.append(
            f"{where}: {path}.kind: {kind!r} is not a kind of source{hint}; "
            f"accepted: {', '.join(registry.kinds())}"
        )
        return None
    options = registry.connector(kind).options
    if taken := sorted(set(block) & _FILLED):
        mistakes.append(f"{where}: {path}.{taken[0]}: unknown key; accepted: {_keys(options)}")
        return None
    try:
        return options.model_validate(
            {
                **block,
                "name": name,
                "clinic_timezone": clinic.timezone,
                "clinic_currency": clinic.currency,
                "clinic_phone_region": clinic.phone_region,
            }
        )
    except ValidationError as error:
        mistakes.extend(_lines(error, options, where, path))
        return None


def _refuse_written_secrets(raw: dict[str, Any], where: str, mistakes: list[str]) -> None:
    """Note secrets that stand in the file itself, where backups and screens would show them."""
    sources = raw.get("sources")
    for name, block in sources.items() if isinstance(sources, dict) else ():
        if not isinstance(block, dict) or block.get("kind") not in registry.kinds():
            continue
        for key in sorted(registry.connector(block["kind"]).options.secrets() & block.keys()):
            value = block[key]
            if value is not None and not (isinstance(value, str) and _VARIABLE.search(value)):
                variable = f"{name}_{key}".upper()
                mistakes.append(
                    f"{where}: sources.{name}.{key}: secrets are not written in the file; "
                    f"set the environment variable {variable} and write ${{{variable}}}"
                )


def _expand(value: Any, path: str, where: str, mistakes: list[str]) -> Any:
    """Replace ${NAME} in every text by the environment variable, noting those that are not set."""
    if isinstance(value, dict):
        return {k: _expand(v, f"{path}.{k}" if path else str(k), where, mistakes) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, f"{path}[{i}]", where, mistakes) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if found is None:
            mistakes.append(f"{where}: {path}: the environment variable {match.group(1)} is not set")
            return ""
        return found

    return _VARIABLE.sub(variable, value)


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(name for name in model.model_fields if name not in _FILLED)


def _lines(error: ValidationError, model: type[BaseModel], where: str, prefix: str) -> list[str]:
    """One line per pydantic error: file, key path, what is wrong, what is accepted."""
    lines = []
    for item in error.errors(include_url=False, include_context=False, include_input=True):
        place = ".".join(str(part) for part in (prefix, *item["loc"]) if part != "")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            owner = _model_at(model, item["loc"][:-1])
            accepted = _keys(owner) if owner else ""
            guess = difflib.get_close_matches(str(item["loc"][-1]), accepted.split(", "), n=1)
            hint = f"; did you mean {guess[0]}?" if guess else ""
            message = f"unknown key{hint}" + (f"; accepted: {accepted}" if accepted else "")
        elif item["type"] == "missing":
            message = "is required"
        elif item["type"] == "string_type" and isinstance(item["input"], bool):
            # YAML 1.1 reads NO, off and yes as booleans: Norway's region is the classic case.
            message = "YAML reads this as true/false; put it in quotes"
        lines.append(f"{where}: {place}: {message}")
    return lines


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The pydantic model found by following an error's location."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            fields = current.model_fields
            if part not in fields:
                return None
            current = fields[str(part)].annotation
        else:
            arguments = [a for a in typing.get_args(current) if a is not type(None)]
            current = arguments[-1] if arguments else None
        while typing.get_origin(current) in (types.UnionType, typing.Union, Annotated):
            candidates = [a for a in typing.get_args(current) if a is not type(None)]
            current = candidates[0]
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None
