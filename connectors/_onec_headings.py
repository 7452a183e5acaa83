"""How clinics that work with 1C head the columns of their exports, and what they write into them.

No vendor defines these exports; the headings are those of common practice. Whatever a clinic heads otherwise
is mapped under `files` of the source; the reading itself is that of connectors/mapped_file.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

from connectors._cells import header_key
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.mapped_file import StreamMapping

# Reports carry a title, the filter and the print time above the table.
_HEADER_WITHIN = 200
# "Сумма, руб.", "Сумма (₽)": the unit is no part of the name.
_UNIT = re.compile(r"[,\s]*\(?\s*(?:руб\.?|р\.|₽)\s*\)?\s*:?$|\s*:$")

_VISIT = (
    "№ приема",
    "Номер приема",
    "ID приема",
    "ID визита",
    "№ визита",
    "Номер визита",
    "Код приема",
    "Код",
)
_PATIENT = (
    "№ карты",
    "Номер карты",
    "ID пациента",
    "Код пациента",
    "№ пациента",
    "Амб. карта",
    "Амбулаторная карта",
    "№ амб. карты",
    "Номер амбулаторной карты",
    "Медкарта",
    "№ медкарты",
    "ID клиента",
    "Код клиента",
)
# A document's number begins anew each year: only with its day is it a key.
_YEARLY = (
    "Номер документа",
    "№ документа",
    "Номер чека",
    "№ чека",
    "Номер",
    "№",
    "Документ",
)
_PHONES = ("Телефон", "Моб. телефон", "Мобильный телефон", "Телефон пациента", "Телефоны", "Дом. телефон")
_CARD = {
    "phone": _PHONES,
    "email": ("E-mail", "Email", "Эл. почта", "Электронная почта", "Почта"),
    "birth_date": ("Дата рождения", "Д.р.", "ДР"),
    "sex": ("Пол",),
    "registered_at": ("Дата регистрации", "Дата заведения карты", "Дата создания карты"),
    "self_reported_source": (
        "Источник",
        "Канал",
        "Откуда узнали",
        "Откуда о нас узнали",
        "Источник рекламы",
        "Рекламный источник",
        "Источник информации",
    ),
}
_PAYER = ("Плательщик", "Вид оплаты", "Способ оплаты", "Форма оплаты", "Тип оплаты")

# Stream -> column of mapped_file -> headings, the surest first.
HEADINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "visits": {
        "visit_id": (*_VISIT, *_YEARLY),
        "appointment_id": ("ID записи", "№ записи", "Номер записи", "Код записи"),
        "patient_id": _PATIENT,
        "visited_at": (
            "Дата приема",
            "Дата и время приема",
            "Дата визита",
            "Дата посещения",
            "Дата оказания услуги",
            "Дата оказания",
            "Дата",
        ),
        "booked_at": ("Дата записи", "Дата создания записи", "Дата и время записи", "Записан"),
        "status": ("Статус", "Статус приема", "Статус визита", "Состояние"),
        "branch": ("Филиал", "Клиника", "Подразделение"),
        "room": ("Кабинет",),
        "doctor": ("Врач", "Специалист", "Исполнитель", "Лечащий врач"),
        "service": ("Услуга", "Наименование услуги", "Номенклатура"),
        "diagnosis": ("МКБ-10", "МКБ", "Код МКБ", "Код МКБ-10", "Диагноз"),
        "clinic_says_primary": (
            "Первичный/Повторный",
            "П/В",
            "Первичность",
            "Первичный",
            "Вид приема",
            "Тип приема",
        ),
        "amount": ("Сумма", "Стоимость", "Сумма услуги", "Начислено"),
        "discount": ("Сумма скидки", "Скидка"),
        "paid": ("Оплачено", "Сумма оплаты", "Оплата"),
        "refund": ("Возврат", "Сумма возврата", "Возвращено"),
        "paid_at": ("Дата оплаты", "Дата платежа"),
        "payer_type": _PAYER,
        **_CARD,
    },
    "payments": {
        "payment_id": (
            "ID платежа",
            "Код платежа",
            "№ платежа",
            "Номер платежа",
            "ID оплаты",
            *_YEARLY,
            "Код",
        ),
        "visit_id": tuple(heading for heading in _VISIT if heading != "Код"),
        "patient_id": _PATIENT,
        "paid_at": ("Дата оплаты", "Дата платежа", "Дата и время оплаты", "Дата документа", "Дата"),
        "amount": ("Сумма оплаты", "Сумма платежа", "Оплачено", "Сумма"),
        "payer_type": _PAYER,
    },
    "patients": {"patient_id": (*_PATIENT, "Код"), **_CARD},
}
# The time of day in a column of its own.
_TIMES: Mapping[str, tuple[str, ...]] = {
    "visited_at": ("Время приема", "Время визита", "Время начала", "Время"),
    "paid_at": ("Время оплаты", "Время платежа", "Время"),
}
# Columns of which the first line of a table must have one each.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "visits": ("visit_id", "patient_id", "visited_at"),
    "payments": ("payment_id", "paid_at", "amount"),
    "patients": ("patient_id",),
}
_STATUSES = {
    "completed": (
        "Выполнен",
        "Выполнено",
        "Выполнена",
        "Состоялся",
        "Состоялась",
        "Оказано",
        "Оказана",
        "Завершен",
        "Завершён",
        "Принят",
        "Закрыт",
    ),
    "no_show": ("Неявка", "Не пришел", "Не пришёл", "Не пришла", "Не явился", "Не явилась"),
    "cancelled_by_patient": (
        "Отмена",
        "Отменен",
        "Отменён",
        "Отменена",
        "Отменено",
        "Отмена пациентом",
        "Отменен пациентом",
        "Отказ пациента",
    ),
    "cancelled_by_clinic": ("Отмена клиникой", "Отменен клиникой", "Отмена врачом"),
    "rescheduled": ("Перенос", "Перенесен", "Перенесён", "Перенесена", "Перенесено"),
    "confirmed": ("Подтвержден", "Подтверждён", "Подтверждена", "Подтверждено"),
    "booked": ("Ожидает", "Ожидание", "Записан", "Записана", "Запланирован", "Запланировано", "Назначен"),
    "arrived": ("Пришел", "Пришёл", "Пришла", "Явился", "В клинике"),
    "in_progress": ("На приеме", "На приёме", "Идет прием"),
    "entered_in_error": ("Удален", "Удалён", "Ошибка", "Ошибочный"),
}
_PAYERS = {
    "cash": ("Наличные", "Наличный", "Наличный расчет", "Наличными", "Нал", "Нал."),
    "card": ("Карта", "Картой", "Банковская карта", "Банк. карта", "Пластиковая карта", "Эквайринг", "СБП"),
    "transfer": ("Безнал", "Безналичный", "Безналичный расчет", "Безналичные", "Перечисление", "Перевод"),
    "insurer": ("ДМС", "Страховая", "Страховая компания"),
    "state": ("ОМС",),
    "employer": ("Юрлицо", "Юр. лицо", "Юридическое лицо", "Организация", "Договор"),
    "loyalty": ("Бонусы", "Бонус", "Баллы", "Сертификат", "Подарочный сертификат", "Абонемент"),
    "deposit": ("Депозит", "Зачет аванса", "С депозита", "Лицевой счет"),
}
VALUES: Mapping[str, Mapping[str, str]] = {
    "status": {text: status for status, texts in _STATUSES.items() for text in texts},
    "payer_type": {text: payer for payer, texts in _PAYERS.items() for text in texts},
}


def heading_key(text: str) -> str:
    """A heading as headings are compared: case, ё, units and a trailing colon ignored."""
    return _UNIT.sub("", header_key(text)).replace("ё", "е")


def default_mapping(stream: str, own: StreamMapping) -> StreamMapping:
    """The clinic's own mapping over the surest usual headings: what a file may have at most."""
    usual = {key: (headings[0],) for key, headings in HEADINGS[stream].items()}
    return _merged(own, {**usual, **own.columns})


def mapping_of(
    file: InboxFile, stream: str, own: StreamMapping, *, delimiter: str | None, encoding: str | None
) -> StreamMapping:
    """The columns of one file, by the clinic's own mapping and the usual headings of those not mapped.

    Raises FileRefused for a file without a header that has what is needed.
    """
    accepted = {key: headings for key, headings in HEADINGS[stream].items() if key not in own.columns}
    every = (*accepted.values(), *own.columns.values(), *_TIMES.values())
    wanted = {heading_key(heading) for headings in every for heading in headings}
    needed = [key for key in _NEEDED[stream] if key not in own.columns and key not in own.defaults]
    best: dict[str, tuple[str, ...]] = {}
    is_empty = True
    lines = file.table(
        delimiter=own.delimiter or delimiter, encoding=own.encoding or encoding, sheet=own.sheet
    )
    for _, cells in islice(lines, _HEADER_WITHIN):
        present = {
            heading_key(cell): cell
            for cell in reversed(cells)
            if isinstance(cell, str) and heading_key(cell) in wanted
        }
        is_empty = is_empty and not any(cell not in (None, "") for cell in cells)
        found = _columns(accepted, present)
        if present and all(key in found for key in needed):
            return _merged(own, {**found, **own.columns})
        if len(found) > len(best):
            best = found
    if is_empty:
        raise FileRefused(f"{file.name}: is empty; export it again")
    lacking = [key for key in needed if key not in best]
    usual = "; ".join(f"{key}: {', '.join(accepted[key][:4])} …" for key in lacking)
    raise FileRefused(
        f"{file.name}: no column for {usual or 'what files.columns names'}; "
        f"name it under files.{stream}.columns of the source"
    )


def _columns(
    accepted: Mapping[str, tuple[str, ...]], present: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Column -> the headings of this file that give it."""
    found: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for key, headings in accepted.items():
        here = [present[k] for heading in headings if (k := heading_key(heading)) in present]
        here = [heading for heading in dict.fromkeys(here) if heading not in taken]
        if not here:
            continue
        found[key] = tuple(here) if key in ("phone", "email") else (here[0],)
        taken |= set(found[key])
    yearly = {heading_key(heading) for heading in _YEARLY}
    for key, day in (("visit_id", "visited_at"), ("payment_id", "paid_at")):
        if key in found and day in found and heading_key(found[key][0]) in yearly:
            found[key] = (found[key][0], found[day][0])
    for key, headings in _TIMES.items():
        clock = next((present[k] for h in headings if (k := heading_key(h)) in present), None)
        if key in found and clock is not None:
            found[key] = (found[key][0], clock)
    return found


def _merged(own: StreamMapping, columns: Mapping[str, tuple[str, ...]]) -> StreamMapping:
    values = {key: dict(texts) for key, texts in VALUES.items() if key in columns}
    for key, texts in own.values.items():
        values[key] = {**values.get(key, {}), **texts}
    return own.model_copy(update={"columns": dict(columns), "values": values})
