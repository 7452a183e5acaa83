"""Headings and stages as Bitrix24's own lists write them, in Russian and English.

The CSV export has the columns that the list shows, under the headings that it shows, separated by semicolons.
"""

from __future__ import annotations

from connectors._cells import fold
from connectors._crm import Headings

# Stages by the names that a new portal gives them: an export has no ids. Folded, as they are compared.
SEMANTICS_OF_NAMES = {
    fold(name): semantic
    for semantic, names in {
        "S": ("Качественный лид", "Сделка успешна", "Good lead", "Converted", "Deal won"),
        "F": (
            "Некачественный лид",
            "Сделка провалена",
            "Анализ причины провала",
            "Junk lead",
            "Deal lost",
            "Analyze failure",
        ),
    }.items()
    for name in names
}
JUNK_NAMES = frozenset(map(fold, ("Некачественный лид", "Junk lead")))

_PHONES = (
    "рабочий телефон",
    "мобильный телефон",
    "домашний телефон",
    "телефон для рассылок",
    "sms номер",
    "другой телефон",
    "телефон",
    "work phone",
    "mobile",
    "mobile phone",
    "home phone",
    "other phone number",
    "other phone",
    "phone",
)
_EMAILS = (
    "рабочий e-mail",
    "частный e-mail",
    "e-mail для рассылок",
    "другой e-mail",
    "e-mail",
    "work e-mail",
    "home e-mail",
    "newsletters email",
    "other e-mail",
)
_FIELDS_OF_HEADINGS = {
    "id": "ID",
    "дата создания": "DATE_CREATE",
    "создан": "DATE_CREATE",
    "created on": "DATE_CREATE",
    "created": "DATE_CREATE",
    "date created": "DATE_CREATE",
    "дата изменения": "DATE_MODIFY",
    "изменен": "DATE_MODIFY",
    "modified on": "DATE_MODIFY",
    "modified": "DATE_MODIFY",
    "date modified": "DATE_MODIFY",
    "стадия": "STATUS_ID",
    "статус": "STATUS_ID",
    "stage": "STATUS_ID",
    "status": "STATUS_ID",
    "стадия сделки": "STATUS_ID",
    "deal stage": "STATUS_ID",
    "воронка": "CATEGORY_ID",
    "направление": "CATEGORY_ID",
    "pipeline": "CATEGORY_ID",
    "источник": "SOURCE_ID",
    "source": "SOURCE_ID",
    "ответственный": "RESPONSIBLE",
    "responsible": "RESPONSIBLE",
    "responsible person": "RESPONSIBLE",
    "id лида": "LEAD_ID",
    "lead id": "LEAD_ID",
    "лид": "LEAD_TITLE",
    "lead": "LEAD_TITLE",
    "id контакта": "CONTACT_ID",
    "contact id": "CONTACT_ID",
    **{f"utm {name}": f"UTM_{name.upper()}" for name in ("source", "medium", "campaign", "content", "term")},
    **{
        heading: "PHONE" for phone in _PHONES for heading in (phone, f"контакт: {phone}", f"contact: {phone}")
    },
    **{heading: "EMAIL" for mail in _EMAILS for heading in (mail, f"контакт: {mail}", f"contact: {mail}")},
}
# Headings that the list of leads and deals has and that are not read: names, places, texts, money.
_IGNORED_HEADINGS = """
    название лида|название сделки|название|обращение|имя|фамилия|отчество|имя, фамилия|дата рождения|адрес|
    улица, номер дома|квартира, офис, комната, этаж|населенный пункт|район|регион|почтовый индекс|страна|
    номер факса|номер пейджера|корпоративный сайт|личная страница|страница facebook|страница вконтакте|
    страница livejournal|микроблог twitter|другой сайт|контакт facebook|контакт telegram|контакт вконтакте|
    контакт viber|комментарии instagram|контакт битрикс24 network|онлайн-чат|контакт открытая линия|
    другой контакт|связанный пользователь|название компании|должность|комментарий|дополнительно о стадии|
    товар|цена|количество|возможная сумма|сумма|валюта|дополнительно об источнике|доступен для всех|контакт|
    компания|кем создан|кем изменен|повторный лид|повторная сделка|lead name|deal name|salutation|
    first name|last name|second name|full name|date of birth|address|fax|company name|
    position|comment|total|amount|currency|source information|
    available to everyone|contact|company|created by|modified by
"""
_IGNORED = frozenset(" ".join(text.split()) for text in _IGNORED_HEADINGS.split("|"))
# Headings that only one of the lists has.
_MARKS = {
    "название лида": "leads",
    "lead name": "leads",
    "название сделки": "deals",
    "deal name": "deals",
    "стадия сделки": "deals",
    "deal stage": "deals",
}


def _headings(*required: str) -> Headings:
    return Headings(
        fields=_FIELDS_OF_HEADINGS,
        required=required,
        where="show that column in the list (its gear) and export the list again as CSV",
        several=frozenset({"PHONE", "EMAIL"}),
        ignored=_IGNORED,
        marks=_MARKS,
    )


# Stream -> headings of its list. Without a stage, contacts would pass for enquiries.
HEADINGS = {
    "leads": _headings("ID", "DATE_CREATE", "STATUS_ID"),
    "deals": _headings("ID", "DATE_CREATE", "STATUS_ID"),
    "contacts": _headings("ID", "DATE_CREATE"),
}
