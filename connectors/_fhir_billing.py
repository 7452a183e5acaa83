"""Charges, invoices and payments of a FHIR server: streams, and what lands of a resource.

hl7.org/fhir/R4: chargeitem, invoice, paymentreconciliation, paymentnotice. Encounters and appointments carry
no money; a charge names its encounter (`context`), an invoice names charges, a payment names whatever it
settles (`request`). R5 renamed members of the latter (`allocation`, `amount`, `date`); both are read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors._fhir_parts import (
    IS_DELETED,
    LAST_UPDATED,
    RESTATED_DAYS,
    Kind,
    Money,
    Reference,
    Resource,
    codings_of,
    items_of,
    label_of,
    money_of,
    named,
    performer_of,
    read_reference,
    read_time,
    reference_columns,
    require,
    text_of,
)
from connectors.contract import Column, Stream
from connectors.errors import RowRefused

CHARGE_ITEMS = Stream(
    name="charge_items",
    description="Charges of a FHIR export: what was done at a visit, with a price where it has its own.",
    columns=(
        Column("charge_item_id", "text", "ChargeItem.id.", required=True, record_id=True),
        Column("status", "text", "planned, billable, not-billable, aborted, billed …"),
        Column("patient_id", "text", "Id of the patient.", record_id=True),
        Column("encounter_id", "text", "Id of the encounter (context).", record_id=True),
        Column("service", "text", "Display text of code."),
        *reference_columns("practitioner", "performer"),
        *reference_columns("practitioner_role", "performer's role"),
        Column("practitioner_name", "text", "The performer's display text."),
        Column("charged_at", "timestamp", "occurrence, else enteredDate."),
        Column("amount", "decimal", "priceOverride: the total price of the charge."),
        Column("currency", "text", "ISO 4217 code of it."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("charge_item_id",),
    event_day="charged_at",
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
INVOICES = Stream(
    name="invoices",
    description="Lines of invoices of a FHIR export; one line 0 for an invoice without any.",
    columns=(
        Column("invoice_id", "text", "Invoice.id.", required=True, record_id=True),
        Column(
            "line",
            "integer",
            "Place of the lineItem from 1; 0 where the invoice has none.",
            required=True,
        ),
        Column("status", "text", "draft, issued, balanced, cancelled, entered-in-error."),
        Column("patient_id", "text", "Id of the patient (subject).", record_id=True),
        Column("invoiced_at", "timestamp", "date."),
        Column("charge_item_id", "text", "Id of the charge that the line bills.", record_id=True),
        Column("service", "text", "Display text of the line's code, where it bills no ChargeItem."),
        Column("amount", "decimal", "Base and surcharges and taxes less discounts and deductions."),
        Column("currency", "text", "ISO 4217 code."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("invoice_id", "line"),
    event_day="invoiced_at",
    # A newer version of an invoice may have fewer lines.
    replaces=("invoice_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
_SETTLES = (
    Column(
        "request_type",
        "text",
        "Type of the resource that it settles: Invoice, ChargeItem, Encounter, Claim …",
    ),
    Column("request_id", "text", "Id of that resource.", record_id=True),
)
PAYMENT_RECONCILIATIONS = Stream(
    name="payment_reconciliations",
    description="Payments of a FHIR export, one row per part of a payment that settles something.",
    columns=(
        Column("payment_id", "text", "PaymentReconciliation.id.", required=True, record_id=True),
        Column(
            "line", "text", "Place of the part from 1, or rest: what no part accounts for.", required=True
        ),
        Column("status", "text", "active, cancelled, draft, entered-in-error."),
        Column("outcome", "text", "queued, complete, error, partial."),
        Column("paid_at", "timestamp", "paymentDate (R5: date): a part's own date is its claim's."),
        Column("amount", "decimal", "Amount of the part; signed as it stands."),
        Column("currency", "text", "ISO 4217 code."),
        Column("part_type", "text", "Code of the part: payment, adjustment, advance."),
        *_SETTLES,
        Column("encounter_id", "text", "Id of the encounter that the part names (R5).", record_id=True),
        Column(
            "is_from_organization", "boolean", "paymentIssuer is an organization: an insurer or employer."
        ),
        Column("method", "text", "Code of method (R5): cash, ccca …, lower case."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("payment_id", "line"),
    event_day="paid_at",
    replaces=("payment_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
PAYMENT_NOTICES = Stream(
    name="payment_notices",
    description="Notices of payments of a FHIR export; each tells of a PaymentReconciliation.",
    columns=(
        Column("notice_id", "text", "PaymentNotice.id.", required=True, record_id=True),
        Column("status", "text", "active, cancelled, draft, entered-in-error."),
        Column("payment_id", "text", "Id of the PaymentReconciliation it tells of.", record_id=True),
        Column("paid_at", "timestamp", "paymentDate, else created."),
        Column("amount", "decimal", "Amount sent."),
        Column("currency", "text", "ISO 4217 code."),
        *_SETTLES,
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("notice_id",),
    event_day="paid_at",
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)

# invoice-priceComponentType: whether a component adds to the price or takes from it.
_ADDED = frozenset({"base", "surcharge", "tax"})
_TAKEN = frozenset({"deduction", "discount"})
_CENT = Decimal("0.01")


def _charge_item(resource: Resource, zone: ZoneInfo) -> dict[str, Any]:
    performer = performer_of([{**p, "type": p.get("function")} for p in _objects(resource, "performer")])
    role = performer.type == "PractitionerRole"
    period = resource.get("occurrencePeriod")
    occurrence = resource.get("occurrenceDateTime") or (
        period.get("start") if isinstance(period, dict) else None
    )
    price = money_of(resource.get("priceOverride") or _override(resource))
    values = {
        "charge_item_id": text_of(resource.get("id")),
        "status": text_of(resource.get("status")),
        "patient_id": _patient_id(resource.get("subject")),
        # R4 calls it context, R5 encounter.
        "encounter_id": read_reference(resource.get("context") or resource.get("encounter")).id,
        "service": label_of(items_of(resource, "code")),
        **named("practitioner_role" if role else "practitioner", performer, name=False),
        "practitioner_name": performer.display,
        "charged_at": read_time(occurrence or resource.get("enteredDate"), "charged_at", zone),
        "amount": price.amount,
        "currency": price.currency,
    }
    require(values, "status")
    return values


def _override(resource: Resource) -> object:
    """R5: totalPriceComponent with the charge's amount."""
    component = resource.get("totalPriceComponent")
    return component.get("amount") if isinstance(component, dict) else None


def _invoice(resource: Resource, zone: ZoneInfo) -> list[dict[str, Any]]:
    common = {
        "invoice_id": text_of(resource.get("id")),
        "status": text_of(resource.get("status")),
        "patient_id": _patient_id(resource.get("subject")),
        "invoiced_at": read_time(resource.get("date") or resource.get("creation"), "invoiced_at", zone),
    }
    require(common, "status")
    lines = []
    for place, item in enumerate(_objects(resource, "lineItem"), start=1):
        price = _line_price(item)
        lines.append(
            {
                **common,
                "line": place,
                "charge_item_id": read_reference(item.get("chargeItemReference")).id,
                "service": label_of(items_of(item, "chargeItemCodeableConcept")),
                "amount": price.amount,
                "currency": price.currency,
            }
        )
    _check_total(resource, lines)
    return lines or [{**common, "line": 0}]


def _line_price(line: Resource) -> Money:
    """What a line costs, taxes included; no amount where a component has none. Raises RowRefused."""
    total, currency = Decimal(0), None
    components = _objects(line, "priceComponent")
    for component in components:
        kind = text_of(component.get("type"))
        if kind == "informational":
            continue
        part = money_of(component.get("amount"))
        if kind not in _ADDED | _TAKEN or part.amount is None:
            return Money(None, None)
        if currency is not None and part.currency not in (None, currency):
            raise RowRefused("currency", "differs between the parts of a price")
        currency = part.currency or currency
        # A discount is written as a positive amount by some servers and as a negative one by others.
        total += part.amount if kind in _ADDED else -abs(part.amount)
    return Money(total if components else None, currency)


def _check_total(resource: Resource, lines: list[dict[str, Any]]) -> None:
    """Raises RowRefused when priced lines do not add up to the invoice's own total."""
    amounts = [line["amount"] for line in lines]
    totals = [money_of(resource.get(name)).amount for name in ("totalGross", "totalNet")]
    known = [total for total in totals if total is not None]
    if not amounts or None in amounts or not known or resource.get("totalPriceComponent"):
        return
    # Gross is with taxes, net without; a server that fills only one of them may mean either.
    if all(abs(total - sum(amounts)) > _CENT * len(amounts) for total in known):
        raise RowRefused("amount", "the lines do not add up to the invoice's total")


def _payment(resource: Resource, zone: ZoneInfo) -> list[dict[str, Any]]:
    total = money_of(resource.get("paymentAmount") or resource.get("amount"))
    issuer = read_reference(resource.get("paymentIssuer"))
    paid_on = resource.get("paymentDate") or resource.get("date") or resource.get("created")
    methods = [c for concept in items_of(resource, "method") for c in codings_of(concept)]
    common = {
        "payment_id": text_of(resource.get("id")),
        "status": text_of(resource.get("status")),
        "outcome": text_of(resource.get("outcome")),
        "is_from_organization": issuer.type == "Organization",
        "method": next((code.lower() for c in methods if (code := text_of(c.get("code"))) is not None), None),
    }
    require(common, "status")
    paid_at = read_time(paid_on, "paid_at", zone)
    parts = [
        {**common, "line": str(place), "paid_at": paid_at, **_part(part, total)}
        for place, part in enumerate(_objects(resource, "detail") + _objects(resource, "allocation"), start=1)
    ]
    # A part without an amount accounts for nothing.
    parts = [part for part in parts if part["amount"] is not None]
    if total.amount is not None:
        rest = total.amount - sum(part["amount"] for part in parts)
        if rest != 0 or not parts:
            parts.append(
                {**common, "line": "rest", "paid_at": paid_at, "amount": rest, "currency": total.currency}
            )
    for part in parts:
        require(part, "paid_at", "amount")
    if not parts:
        raise RowRefused("amount", "is empty but required")
    return parts


def _part(part: Resource, total: Money) -> dict[str, Any]:
    amount = money_of(part.get("amount"))
    if amount.currency is not None and total.currency is not None and amount.currency != total.currency:
        raise RowRefused("currency", "differs between a payment and its part")
    kinds = [c for concept in items_of(part, "type") for c in codings_of(concept)]
    return {
        "amount": amount.amount,
        "currency": amount.currency or total.currency,
        "part_type": next((text_of(c.get("code")) for c in kinds), None),
        **_settled(part.get("request") or part.get("target")),
        "encounter_id": read_reference(part.get("encounter")).id,
    }


def _notice(resource: Resource, zone: ZoneInfo) -> dict[str, Any]:
    amount = money_of(resource.get("amount"))
    values = {
        "notice_id": text_of(resource.get("id")),
        "status": text_of(resource.get("status")),
        "payment_id": read_reference(resource.get("payment")).id,
        "paid_at": read_time(resource.get("paymentDate") or resource.get("created"), "paid_at", zone),
        "amount": amount.amount,
        "currency": amount.currency,
        **_settled(resource.get("request")),
    }
    require(values, "status", "paid_at", "amount")
    return values


def _settled(reference: object) -> dict[str, Any]:
    target: Reference = read_reference(reference)
    return {"request_type": target.type or None, "request_id": target.id}


def _patient_id(reference: object) -> str | None:
    """The id of a Patient; a group or device is no patient, and an identifier may be a national number."""
    subject = read_reference(reference)
    return subject.id if subject.type in ("Patient", "") else None


def _objects(resource: Resource, name: str) -> list[dict[str, Any]]:
    return [item for item in items_of(resource, name) if isinstance(item, dict)]


KINDS = (
    Kind.single("ChargeItem", CHARGE_ITEMS, _charge_item),
    Kind("Invoice", INVOICES, _invoice, {"line": 0}),
    Kind("PaymentReconciliation", PAYMENT_RECONCILIATIONS, _payment, {"line": "0"}),
    Kind.single("PaymentNotice", PAYMENT_NOTICES, _notice),
)
