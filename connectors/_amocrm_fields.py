"""What amoCRM calls its tracking fields, its two closing stages and the columns of its export.

The export of leads is CSV (semicolons) or XLSX; the contact's fields carry the tail "(контакт)".
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors._cells import fold
from connectors._crm import Headings, Meaning

# Ids of the stages that end every pipeline: they are the same in all of them.
WON, LOST = "142", "143"
# Fields of type tracking_data, which every account has, by code.
KNOWN: Mapping[Meaning, tuple[str, ...]] = {
    "ga_client_id": ("GCLIENTID",),
    "ym_client_id": ("_YM_UID",),
    "roistat": ("ROISTAT",),
    "utm_source": ("UTM_SOURCE",),
    "utm_medium": ("UTM_MEDIUM",),
    "utm_campaign": ("UTM_CAMPAIGN",),
    "utm_content": ("UTM_CONTENT",),
    "utm_term": ("UTM_TERM",),
    "gclid": ("GCLID",),
    "yclid": ("YCLID",),
    "fbclid": ("FBCLID",),
    "referrer": ("REFERRER", "UTM_REFERRER"),
}
# The two stages of every pipeline, by the names that exports have.
NAMED_STATUSES = {
    fold(name): status
    for status, names in {
        WON: ("Успешно реализовано", "Closed - won", "Closed won"),
        LOST: ("Закрыто и не реализовано", "Closed - lost", "Closed lost"),
    }.items()
    for name in names
}

_PHONES = (
    "рабочий телефон",
    "рабочий прямой телефон",
    "мобильный телефон",
    "домашний телефон",
    "другой телефон",
    "телефон",
    "work phone",
    "work direct phone",
    "mobile phone",
    "home phone",
    "other phone",
    "phone",
)
_EMAILS = (
    "рабочий email",
    "личный email",
    "другой email",
    "email",
    "work email",
    "personal email",
    "other email",
)
_OF_CONTACT = ("", " (контакт)", " (contact)")
HEADINGS = Headings(
    fields={
        "id": "ID",
        "дата создания": "CREATED_AT",
        "дата создания (сделка)": "CREATED_AT",
        "created at": "CREATED_AT",
        "date created": "CREATED_AT",
        "дата редактирования": "UPDATED_AT",
        "last modified": "UPDATED_AT",
        "date modified": "UPDATED_AT",
        "воронка": "PIPELINE",
        "pipeline": "PIPELINE",
        "этап сделки": "STATUS",
        "статус сделки": "STATUS",
        "lead status": "STATUS",
        "lead stage": "STATUS",
        "pipeline stage": "STATUS",
        "ответственный": "RESPONSIBLE",
        "responsible user": "RESPONSIBLE",
        "responsible": "RESPONSIBLE",
        "источник сделки": "SOURCE",
        "lead source": "SOURCE",
        **{phone + tail: "PHONE" for phone in _PHONES for tail in _OF_CONTACT},
        **{mail + tail: "EMAIL" for mail in _EMAILS for tail in _OF_CONTACT},
        **{names[0].lower(): names[0] for names in KNOWN.values()},
    },
    required=("ID", "CREATED_AT", "STATUS"),
    where="export the list of leads (Сделки → … → Экспорт) with that column",
    several=frozenset({"PHONE", "EMAIL"}),
    ignored=frozenset(
        {
            "название сделки",
            "компания",
            "основной контакт",
            "компания контакта",
            "бюджет",
            "кем создана",
            "кем редактирована",
            "дата закрытия",
            "теги сделки",
            "ближайшая задача",
            "lead title",
            "main contact",
            "company",
            "sale",
            "created by",
            "modified by",
            "closed at",
            "lead tags",
            "closest task",
            *(f"примечание {number}" for number in range(1, 6)),
            *(f"note {number}" for number in range(1, 6)),
        }
    ),
)
