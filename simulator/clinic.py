"""The fixed facts of the artificial clinic: Northgate ENT, two branches in Zagreb.

Names of people are invented; names of staff and of patients share no surname, because staff names are
published and patients' names must never be.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from simulator.model import Campaign, TrackingNumber

NAME: Final = "Northgate ENT"
SITE_HOST: Final = "www.northgate-ent.example"
OWN_NUMBERS: Final = ("+38515550100", "+38515550200")
# Numbers that stand for one source each; see tracking_numbers.
DEDICATED: Final = ("+38515550111", "+38515550112", "+38515550113")
POOL: Final = ("+38515550151", "+38515550152", "+38515550153", "+38515550154")

# doctor -> (branches, share of first visits, chance that a patient comes again, share of those for surgery)
DOCTORS: Final[dict[str, tuple[tuple[str, ...], float, float, float]]] = {
    "dr. Ana Horvat": (("Centar",), 0.22, 0.55, 0.15),
    "dr. Ivan Babic": (("Centar",), 0.16, 0.30, 0.03),
    "dr. Marta Kolar": (("Centar", "Maksimir"), 0.18, 0.45, 0.08),
    "dr. Petar Vukovic": (("Maksimir",), 0.20, 0.50, 0.11),
    "dr. Lucija Matic": (("Maksimir",), 0.14, 0.38, 0.02),
    "dr. Tomislav Grgic": (("Centar",), 0.08, 0.22, 0.05),
    "dr. Nina Saric": (("Maksimir",), 0.02, 0.35, 0.06),
}
OPERATORS: Final = ("Marina", "Jelena", "Sandra", "Igor")

# service -> (group, care setting, specialty, list price in cents, margin share)
SERVICES: Final[dict[str, tuple[str, str, str, int, float]]] = {
    "ENT consultation": ("consultations", "outpatient", "ent", 6_000, 0.55),
    "Paediatric ENT consultation": ("consultations", "outpatient", "children", 6_500, 0.55),
    "Allergy consultation": ("consultations", "outpatient", "allergy", 7_000, 0.55),
    "Follow-up consultation": ("consultations", "outpatient", "ent", 4_000, 0.60),
    "Audiometry": ("diagnostics", "outpatient", "hearing", 4_550, 0.70),
    "Nasal endoscopy": ("diagnostics", "outpatient", "ent", 8_333, 0.65),
    "Allergy panel": ("diagnostics", "outpatient", "allergy", 12_999, 0.50),
    "Earwax removal": ("procedures", "outpatient", "ent", 3_575, 0.75),
    "Sleep study": ("diagnostics", "inpatient", "sleep", 35_000, 0.45),
    "Septoplasty": ("surgery", "surgery", "surgery", 210_000, 0.40),
    "Tonsillectomy": ("surgery", "surgery", "surgery", 165_050, 0.42),
}
FIRST_SERVICES: Final = (
    ("ENT consultation", 0.50),
    ("Paediatric ENT consultation", 0.22),
    ("Allergy consultation", 0.13),
    ("Audiometry", 0.10),
    ("Sleep study", 0.05),
)
EXTRA_SERVICES: Final = ("Nasal endoscopy", "Audiometry", "Allergy panel", "Earwax removal")
SURGERY: Final = ("Septoplasty", "Tonsillectomy")

# The clinic system's own words, and what the source mapping in clinic.yaml makes of them.
STATUS_TEXT: Final = {
    "completed": "Выполнен",
    "no_show": "Неявка",
    "cancelled_by_patient": "Отменен пациентом",
    "cancelled_by_clinic": "Отменен клиникой",
    "rescheduled": "Перенесен",
    "booked": "Записан",
    "confirmed": "Подтвержден",
}
UNMAPPED_STATUS: Final = "Ожидает в холле"
PAYER_TEXT: Final = {
    "cash": "Наличные",
    "card": "Карта",
    "transfer": "Перевод",
    "insurer": "ДМС",
    "state": "Госстрах",
    "employer": "Работодатель",
    "loyalty": "Бонусы",
    "deposit": "Депозит",
}
NOT_CASH: Final = ("loyalty", "deposit")
SEX_TEXT: Final = {"female": "Ж", "male": "М"}

# What the desk wrote under "how did you hear about us" -> channel; None: the text is in no map.
SELF_REPORTED: Final[dict[str, str | None]] = {
    "Рекомендация друзей": "patient_referral",
    "Радио": "offline",
    "Билборд у дороги": "offline",
    "Направил партнер": "partner_referral",
    "Instagram": "organic_social",
    "Работодатель": "corporate",
    "проходил мимо": None,
    "газета 24sata": None,
}

SURNAMES: Final = (
    "Zubovic", "Perkovac", "Drmic", "Kuharic", "Lastric", "Ocvirek", "Palijan", "Rendulic", "Skvorc",
    "Tkalcec", "Uremovic", "Valjak", "Bistrovic", "Cvekan", "Domjanic", "Frketic", "Glavas", "Hlevnjak",
    "Ivekic", "Jambresic", "Krznaric", "Lovrekovic", "Mikulcic", "Novoselec", "Ozimec", "Posavec",
)  # fmt: skip
GIVEN: Final = {
    "female": ("Dunja", "Katica", "Mirna", "Tihana", "Vesna", "Zdenka", "Snjezana", "Ruzica"),
    "male": ("Bozidar", "Darko", "Hrvoje", "Kresimir", "Mladen", "Stjepan", "Vedran", "Zvonimir"),
}
STREETS: Final = ("Ilica", "Savska cesta", "Vukovarska", "Maksimirska", "Dubrava", "Tratinska", "Selska")
CITIES: Final = (
    ("Zagreb", "City of Zagreb", 0.72),
    ("Velika Gorica", "Zagreb County", 0.12),
    ("Samobor", "Zagreb County", 0.07),
    ("Karlovac", "Karlovac County", 0.05),
    ("(not set)", "(not set)", 0.04),
)
PATHS: Final = (
    "/", "/services/sinus", "/services/children", "/services/hearing", "/services/allergy",
    "/services/sleep", "/doctors", "/prices", "/contact", "/booking",
)  # fmt: skip

GOOGLE_ACCOUNT: Final = "main"
YANDEX_ACCOUNT: Final = "ngate-direct"
META_ACCOUNT: Final = "act_7755001"
CURRENCY_OF: Final = {"google": "EUR", "yandex": "RUB", "facebook": "USD"}
SOURCE_OF: Final = {"google": "google_ads", "yandex": "yandex_direct", "facebook": "meta"}
VAT_RATE: Final = 25  # per cent, added to spend that a platform reports without it


def campaigns(start: date, end: date) -> list[Campaign]:
    """The campaigns that ran. Names, ids and kinds are as the platforms report them."""
    span = (end - start).days
    renamed = start + timedelta(days=span * 5 // 9)
    yandex_renamed = start + timedelta(days=span * 2 // 5)
    ended = start + timedelta(days=span * 2 // 3)

    def google(
        key: str,
        number: int,
        kind: str,
        channel: str,
        daily: int,
        *names: tuple[date, str],
        ends: date | None = None,
        brings_visits: bool = True,
    ) -> Campaign:
        return Campaign(
            key,
            "google",
            GOOGLE_ACCOUNT,
            f"2010000000{number}",
            names,
            kind,
            channel,
            daily,
            ends=ends,
            brings_visits=brings_visits,
        )

    return [
        google("brand", 1, "search", "paid_search_brand", 900, (start, "Northgate Brand")),
        google("ent", 2, "search", "paid_search", 3_400, (start, "ENT Search Zagreb")),
        google(
            "kids", 3, "search", "paid_search", 2_100, (start, "Tonsils Kids 2024"), (renamed, "Kids ENT")
        ),
        google("sleep", 4, "display", "display", 1_300, (start, "Snoring Display")),
        google("sinus", 5, "video", "video", 800, (start, "Sinus Video")),
        # Money without a single visit: its rows must stay in the marts with no patients.
        google(
            "allergy",
            6,
            "search",
            "paid_search",
            450,
            (start, "Allergy Search Test"),
            ends=ended,
            brings_visits=False,
        ),
        Campaign(
            "ya_ent",
            "yandex",
            YANDEX_ACCOUNT,
            "70112233",
            ((start, "ЛОР Загреб Поиск"),),
            "search",
            "paid_search",
            95_000,
        ),
        # Renamed in the account, while the links keep the name they were tagged with.
        Campaign(
            "ya_nose",
            "yandex",
            YANDEX_ACCOUNT,
            "70112244",
            ((start, "Ринопластика"), (yandex_renamed, "Ринопластика и септопластика")),
            "search",
            "paid_search",
            60_000,
        ),
        Campaign(
            "ya_brand",
            "yandex",
            YANDEX_ACCOUNT,
            "70112255",
            ((start, "Бренд Northgate"),),
            "search",
            "paid_search_brand",
            21_000,
        ),
        Campaign(
            "fb_kids",
            "facebook",
            META_ACCOUNT,
            "23851112223330001",
            ((start, "FB Kids Adenoids"),),
            "social",
            "paid_social",
            1_700,
        ),
        Campaign(
            "fb_allergy",
            "facebook",
            META_ACCOUNT,
            "23851112223330002",
            ((start, "FB Spring Allergy"),),
            "social",
            "paid_social",
            1_100,
        ),
    ]


# campaign key -> (branch, service line) in campaign_map; campaigns that are absent are shared.
CAMPAIGN_MAP: Final[dict[str, tuple[str | None, str | None]]] = {
    "ent": ("Centar", "ent"),
    "kids": ("Maksimir", "children"),
    "sleep": (None, "sleep"),
    "ya_ent": ("Centar", None),
    "fb_kids": ("Maksimir", "children"),
    "fb_allergy": (None, "allergy"),
}
RADIO_CAMPAIGN: Final = "Radio Sljeme"
BILLBOARD_CAMPAIGN: Final = "Billboard Avenija"
EVENT_CAMPAIGN: Final = "Open Day"
# alias seen in tags -> campaign key
ALIASES: Final = {"ent-zg-search": "ent", "NG_kids_old_landing": "kids", "lor_zagreb_poisk": "ya_ent"}


def tracking_numbers(start: date, end: date) -> list[TrackingNumber]:
    """Dedicated numbers: one changes its meaning at a month's end, one is always the same."""
    middle = start + timedelta(days=(end - start).days // 2)
    radio, maps, partner = DEDICATED
    last_of_radio = middle.replace(day=1) - timedelta(days=1)
    return [
        TrackingNumber(radio, "offline", "radio", RADIO_CAMPAIGN, None, last_of_radio),
        TrackingNumber(
            radio, "offline", "billboard", BILLBOARD_CAMPAIGN, last_of_radio + timedelta(days=1), None
        ),
        TrackingNumber(maps, "maps", "google_maps", None, None, None),
        TrackingNumber(partner, "partner_referral", "poliklinika_jarun", None, start, None),
    ]
