"""The words of Google Ads' interface in the languages whose reports are read.

A language is added only with the word that begins its total rows: a total taken for a campaign doubles the
spend. Devices and campaign types are left as they are printed; staging knows their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors._table import Layout

_REMEDY = (
    "download the report with the columns Day, Campaign, Currency code, Cost, Clicks and Impr., in English, "
    "German, French or Spanish"
)


@dataclass(frozen=True)
class Language:
    """How a report is written in one language: headings, totals, month names, date ranges.

    Of the layout's names, `status` is where the label of a total stands, and `partial` a column of reports
    whose rows overlap or leave spend out. `all_of` are the totals that speak for all rows of a report.
    """

    layout: Layout
    # Matches the word that begins the label of a total.
    total: str
    all_of: frozenset[str]
    months: Mapping[str, int]
    all_time: str = ""
    # Begins the name of a total over a filtered view.
    filtered: str | None = None

    @property
    def total_pattern(self) -> str:
        """Matches the beginning of a total's label; French sets a space before the colon, of any kind."""
        return rf"(?i)^{self.total}[\s\x{{a0}}\x{{202f}}]*:"

    def scope(self, label: str) -> str:
        """What a total is of, by its label: `Total: Campaigns` is of campaigns."""
        return label.partition(":")[2].strip().casefold()

    def is_of_all(self, scope: str) -> bool:
        """Whether a total of that scope speaks for every row of the report."""
        return scope in self.all_of or (self.filtered is not None and scope.startswith(self.filtered))


def _phrases(listed: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in listed.split(","))


def _layout(headings: Mapping[str, tuple[str, ...]], *, status: str, partial: str, ignored: str) -> Layout:
    words = {**headings, "status": _phrases(status), "partial": _phrases(partial)}
    # Title, range and a blank line stand above the header.
    return Layout(words, required=("cost",), ignored=_phrases(ignored), remedy=_REMEDY, within=12)


def _months(names: str, short: str) -> Mapping[str, int]:
    """Month names in order, with their short forms; a month may have several, joined by `/`."""
    found: dict[str, int] = {}
    for listed in (names, short):
        for number, forms in enumerate(listed.split(), start=1):
            found |= dict.fromkeys(forms.split("/"), number)
    return found


ENGLISH = Language(
    layout=_layout(
        {
            "spend_date": ("day",),
            "customer_id": ("customer id", "external customer id", "account id"),
            "account_name": ("account", "account name"),
            "currency": ("currency code", "currency"),
            "campaign_id": ("campaign id",),
            "campaign_name": ("campaign", "campaign name"),
            "campaign_type": ("campaign type", "advertising channel"),
            "ad_group_id": ("ad group id",),
            "ad_group": ("ad group", "ad group name"),
            "ad_id": ("ad id",),
            "keyword": ("keyword", "search keyword"),
            "match_type": ("match type", "search keyword match type"),
            "device": ("device",),
            "network": ("network", "network (with search partners)"),
            "impressions": ("impr.", "impressions"),
            "clicks": ("clicks",),
            "cost": ("Cost",),
        },
        status="campaign status, ad group status, ad status, keyword status, status",
        ignored="""
            ad group status, ad group type, ad status, ad type, all conv., all conv. value, avg. cost, avg.
            cpc, avg. cpm, avg. cpv, bid strategy, bid strategy type, budget, budget name, budget type,
            campaign status, campaign subtype, click share, conv. rate, conv. value, conv. value / cost,
            conversions, cost / conv., ctr, default max. cpc, final url, hour of the day, day of the week,
            interaction rate, interactions, keyword id, keyword status, labels, max. cpc, month, quality
            score, optimization score, phone calls, phone impressions, quarter, search exact match is,
            search impr. share, search lost is (budget), search lost is (rank), search lost top is (rank),
            search top is, impr. (top) %, impr. (abs. top) %, status, status reasons, time zone,
            view-through conv., views, week, year
        """,
        partial="""
            search term, asset, audience segment, placement, topic, age, gender, landing page, household
            income, parental status, matched location, conversion action, click type
        """,
    ),
    total="total",
    all_of=frozenset({"campaigns", "ad groups", "ads", "keywords", "search keywords"}),
    months=_months(
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep/sept oct nov dec",
    ),
    all_time="all time",
    filtered="filtered ",
)

GERMAN = Language(
    layout=_layout(
        {
            "spend_date": ("tag",),
            "customer_id": ("kundennummer", "kunden-id"),
            "account_name": ("konto", "kontoname"),
            "currency": ("währungscode", "währung"),
            "campaign_id": ("kampagnen-id",),
            "campaign_name": ("kampagne", "kampagnenname"),
            "campaign_type": ("kampagnentyp",),
            "ad_group_id": ("anzeigengruppen-id",),
            "ad_group": ("anzeigengruppe",),
            "ad_id": ("anzeigen-id",),
            "keyword": ("keyword", "suchkeyword"),
            "match_type": ("keyword-option",),
            "device": ("gerät",),
            "network": ("werbenetzwerk", "netzwerk"),
            "impressions": ("impr.", "impressionen"),
            "clicks": ("klicks",),
            "cost": ("Kosten",),
        },
        status="kampagnenstatus, status",
        ignored="""
            kampagnenstatus, status, statusgründe, budget, budgetname, budgettyp, conversions, conv.-rate,
            conv.-wert, kosten/conv., kosten pro conv., ctr, durchschn. cpc, durchschn. kosten,
            interaktionen, interaktionsrate, optimierungsfaktor, gebotsstrategietyp, gebotsstrategie
        """,
        partial="""
            suchbegriff, asset, zielgruppensegment, placement, thema, alter, geschlecht, landingpage,
            zielseite, haushaltseinkommen, elternstatus, conversion-aktion, klicktyp
        """,
    ),
    total="gesamt",
    all_of=frozenset({"kampagnen", "anzeigengruppen", "anzeigen", "keywords"}),
    months=_months(
        "januar februar märz april mai juni juli august september oktober november dezember",
        "jan feb mär apr mai jun jul aug sep/sept okt nov dez",
    ),
    all_time="gesamter zeitraum",
)

FRENCH = Language(
    layout=_layout(
        {
            "spend_date": ("jour",),
            "customer_id": ("numéro client", "id client"),
            "account_name": ("compte", "nom du compte"),
            "currency": ("code de la devise", "code de devise", "code devise", "devise"),
            "campaign_id": ("id de la campagne", "id de campagne"),
            "campaign_name": ("campagne", "nom de la campagne"),
            "campaign_type": ("type de campagne",),
            "ad_group_id": ("id du groupe d'annonces", "id du groupe d’annonces"),
            "ad_group": ("groupe d'annonces", "groupe d’annonces"),
            "ad_id": ("id de l'annonce", "id de l’annonce"),
            "keyword": ("mot clé", "mot-clé", "mot clé pour le réseau de recherche"),
            "match_type": ("type de correspondance",),
            "device": ("appareil",),
            "network": ("réseau", "réseau (avec les partenaires du réseau de recherche)"),
            "impressions": ("impr.", "impressions"),
            "clicks": ("clics",),
            "cost": ("Coût",),
        },
        status="état de la campagne, état",
        ignored="""
            état de la campagne, état, motifs de l'état, budget, nom du budget, type de budget, conversions,
            taux de conv., coût/conv., coût / conv., ctr, cpc moy., coût moy., interactions, taux
            d'interaction, taux d’interaction, type de stratégie d'enchères, type de stratégie d’enchères,
            résultats, valeur des résultats, valeur de conv.
        """,
        partial="""
            terme de recherche, asset, composant, segment d'audience, segment d’audience, emplacement,
            thème, âge, sexe, page de destination, revenu du foyer, statut parental, action de conversion,
            type de clic
        """,
    ),
    total="total",
    all_of=frozenset({"campagnes", "groupes d'annonces", "groupes d’annonces", "annonces", "mots clés"}),
    months=_months(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "janv févr mars avr mai juin juil août sept oct nov déc",
    ),
)

SPANISH = Language(
    layout=_layout(
        {
            "spend_date": ("día",),
            "customer_id": ("id de cliente", "id del cliente"),
            "account_name": ("cuenta", "nombre de la cuenta"),
            "currency": ("código de moneda", "código de la moneda", "moneda"),
            "campaign_id": ("id de campaña", "id de la campaña"),
            "campaign_name": ("campaña", "nombre de la campaña"),
            "campaign_type": ("tipo de campaña",),
            "ad_group_id": ("id de grupo de anuncios", "id del grupo de anuncios"),
            "ad_group": ("grupo de anuncios",),
            "ad_id": ("id de anuncio", "id del anuncio"),
            "keyword": ("palabra clave", "palabra clave de búsqueda"),
            "match_type": ("tipo de concordancia",),
            "device": ("dispositivo",),
            "network": ("red", "red (con partners de búsqueda)", "red (con socios de búsqueda)"),
            "impressions": ("impr.", "impresiones"),
            "clicks": ("clics",),
            "cost": ("Coste", "Costo"),
        },
        status="estado de la campaña, estado",
        ignored="""
            estado de la campaña, estado, motivos del estado, presupuesto, nombre del presupuesto, tipo de
            presupuesto, nivel de optimización, conversiones, tasa de conv., porcentaje de conv.,
            coste/conv., costo/conv., coste / conv., costo / conv., ctr, cpc medio, cpc prom., coste medio,
            costo prom., interacciones, tasa de interacción, tipo de estrategia de puja, tipo de estrategia
            de ofertas
        """,
        partial="""
            término de búsqueda, recurso, segmento de audiencia, segmento de público, ubicación, tema, edad,
            sexo, página de destino, ingresos del hogar, ingresos familiares, estado parental, acción de
            conversión, tipo de clic
        """,
    ),
    total="total",
    all_of=frozenset({"campañas", "grupos de anuncios", "anuncios", "palabras clave"}),
    months=_months(
        "enero febrero marzo abril mayo junio julio agosto septiembre/setiembre octubre noviembre diciembre",
        "ene feb mar abr may jun jul ago sep/sept/set oct nov dic",
    ),
    all_time="todo el período",
)

LANGUAGES = {"English": ENGLISH, "German": GERMAN, "French": FRENCH, "Spanish": SPANISH}
