{#-
    The origin of a session, call, contact or cost line, normalised: the columns that decide its channel and
    its campaign, none of them NULL, and `origin_key`, which stands for all of them.
    Arguments are SQL expressions. `click_campaign_key` is the campaign found by the click id.
    Everything that follows works on distinct origins, of which there are few, not on rows.
-#}
{% macro origin_columns(
    source='null', medium='null', campaign='null', campaign_id='null', content='null', term='null',
    click_id_type='null', referrer='null', click_campaign_key='null'
) -%}
concat_ws(
    chr(31),
    {{ origin_text(source) }},
    {{ origin_text(medium, keep=['(none)', '(not set)']) }},
    {{ origin_campaign(campaign) }},
    coalesce(trim({{ campaign_id }}), ''),
    {{ content_campaign_id(content) }},
    {{ origin_text(click_id_type) }},
    {{ origin_text(referrer) }},
    {{ has_brand_term(term) }},
    coalesce({{ click_campaign_key }}, '')
) as origin_key,
{{ origin_text(source) }} as origin_source,
{{ origin_text(medium, keep=['(none)', '(not set)']) }} as origin_medium,
{{ origin_campaign(campaign) }} as origin_campaign,
coalesce(trim({{ campaign_id }}), '') as origin_campaign_id,
{{ content_campaign_id(content) }} as origin_content_campaign_id,
{{ origin_text(click_id_type) }} as origin_click_id_type,
{{ origin_text(referrer) }} as origin_referrer,
{{ has_brand_term(term) }} as origin_is_brand_term,
coalesce({{ click_campaign_key }}, '') as origin_click_campaign_key
{%- endmacro %}


{% macro origin_column_names() -%}
    {{ return([
        'origin_key', 'origin_source', 'origin_medium', 'origin_campaign', 'origin_campaign_id',
        'origin_content_campaign_id', 'origin_click_id_type', 'origin_referrer', 'origin_is_brand_term',
        'origin_click_campaign_key',
    ]) }}
{%- endmacro %}


{#- Lower case, trimmed; what vendors write for "nothing here" becomes empty, but for the values in `keep`. -#}
{% macro origin_text(expression, keep=[]) -%}
case
    when lower(trim({{ expression }})) in (
        {%- for text in ['(none)', '(not set)', '<не указано>', '<не заполнено>', 'undefined', 'null']
            if text not in keep -%}
            '{{ text }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
    ) then ''
    else coalesce(lower(trim({{ expression }})), '')
end
{%- endmacro %}


{#- A campaign's name in its own case; the placeholders of analytics systems are no campaign. -#}
{% macro origin_campaign(expression) -%}
case
    when lower(trim({{ expression }})) in (
        '(organic)', '(direct)', '(referral)', '(not set)', '(none)', '<не указано>', '<не заполнено>',
        'undefined', 'null'
    ) then ''
    else coalesce(trim({{ expression }}), '')
end
{%- endmacro %}


{#- `cid|123456|gid|…` and its like: ad templates put the campaign's id beside its name into utm_content. -#}
{% macro content_campaign_id(expression) -%}
coalesce(
    regexp_extract(
        {{ expression }}, '(?i)(?:^|[^a-z])(?:cid|campaign|campaign_?id)[|:=_.-]+([0-9]{5,})', 1
    ),
    ''
)
{%- endmacro %}


{% macro has_brand_term(expression) -%}
{%- if var('brand_terms') -%}
coalesce(
    {% for term in var('brand_terms') -%}
    contains(lower({{ expression }}), '{{ term | lower | replace("'", "''") }}'){{ ' or ' if not loop.last }}
    {%- endfor %},
    false
)
{%- else -%}
false
{%- endif -%}
{%- endmacro %}


{#-
    CTEs `site_names` … `sites` (value, platform, site_kind) for the names in CTE `names` (value): a bare name
    (google), a host (www.google.co.uk) or a host's part. The longest known part decides, so that
    maps.google.hr is a map and google.hr a search engine.
-#}
{% macro site_lookup(names) -%}
site_parts as (
    select distinct
        value,
        string_split(value, '.') as parts
    from {{ names }}
    where value <> ''
),

site_starts as (
    select
        value,
        parts,
        unnest(range(1, len(parts) + 1)) as first_part,
        -- co.uk, com.tr: a second level that is no name of anyone's
        case
            when len(parts) >= 3 and parts[len(parts) - 1] in ('co', 'com', 'net', 'org') then len(parts) - 2
            else greatest(len(parts) - 1, 1)
        end as last_part
    from site_parts
),

site_candidates as (
    select
        value,
        array_to_string(parts[first_part:], '.') as candidate,
        2 * first_part as preference
    from site_starts

    union all

    select
        value,
        array_to_string(parts[first_part:last_part], '.') as candidate,
        2 * first_part + 1 as preference
    from site_starts
    where first_part <= last_part
),

sites as (
    select
        site_candidates.value,
        min_by(known_sites.platform, site_candidates.preference) as platform,
        min_by(known_sites.site_kind, site_candidates.preference) as site_kind
    from site_candidates
    inner join {{ ref('known_sites') }} as known_sites
        on site_candidates.candidate = known_sites.site
    group by site_candidates.value
)
{%- endmacro %}


{#-
    CTEs ending in `ruled` (input_key, channel, rule_no): the first rule that fits each row of CTE `inputs`,
    with columns input_key, site_kind, is_brand and the seven below, none NULL. A row that fits no rule is
    not in `ruled`.

    Regular expressions are tried once per distinct value and pattern, because a pattern that is no constant
    is compiled for every comparison (45 µs each for a long one). The rules are then tried once per distinct
    set of patterns that fit.
-#}
{% macro apply_channel_rules(inputs) -%}
{%- set attributes = ['platform', 'campaign_type', 'click_id_type', 'source', 'medium', 'campaign', 'referrer'] -%}
rule_patterns as (
    {%- for attribute in attributes %}
    select distinct
        '{{ attribute }}' as attribute,
        {{ attribute }} as pattern
    from {{ ref('ordered_channel_rules') }}
    where {{ attribute }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

rule_values as (
    {%- for attribute in attributes %}
    select distinct
        '{{ attribute }}' as attribute,
        {{ attribute }} as value
    from {{ inputs }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

fitting as (
    select
        rule_values.attribute,
        rule_values.value,
        list(rule_patterns.pattern order by rule_patterns.pattern) as patterns
    from rule_values
    inner join rule_patterns
        on
            rule_values.attribute = rule_patterns.attribute
            and case
                -- most patterns of a clinic are plain names
                when regexp_full_match(rule_patterns.pattern, '[\w \-/,:@%]*')
                    then lower(rule_values.value) = lower(rule_patterns.pattern)
                else regexp_full_match(rule_values.value, rule_patterns.pattern, 'i')
            end
    group by all
),

fitted as (
    select
        {{ inputs }}.input_key,
        {{ inputs }}.site_kind,
        {{ inputs }}.is_brand,
        {%- for attribute in attributes %}
        coalesce({{ attribute }}_fit.patterns, []) as {{ attribute }}_patterns{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ inputs }}
    {%- for attribute in attributes %}
    left join fitting as {{ attribute }}_fit
        on
            {{ attribute }}_fit.attribute = '{{ attribute }}'
            and {{ inputs }}.{{ attribute }} = {{ attribute }}_fit.value
    {%- endfor %}
),

fitted_sets as (
    select distinct * exclude (input_key)
    from fitted
),

ruled_sets as (
    select
        fitted_sets.*,
        min_by(rules.channel, rules.rule_no) as channel,
        min(rules.rule_no) as rule_no
    from fitted_sets
    inner join {{ ref('ordered_channel_rules') }} as rules
        on
            (rules.site_kind is null or fitted_sets.site_kind = rules.site_kind)
            and (rules.is_brand is null or fitted_sets.is_brand = rules.is_brand)
            {%- for attribute in attributes %}
            and (
                rules.{{ attribute }} is null
                or list_contains(fitted_sets.{{ attribute }}_patterns, rules.{{ attribute }})
            )
            {%- endfor %}
    group by all
),

ruled as (
    select
        fitted.input_key,
        ruled_sets.channel,
        ruled_sets.rule_no
    from fitted
    inner join ruled_sets
        on
            fitted.site_kind = ruled_sets.site_kind
            and fitted.is_brand = ruled_sets.is_brand
            {%- for attribute in attributes %}
            and fitted.{{ attribute }}_patterns = ruled_sets.{{ attribute }}_patterns
            {%- endfor %}
)
{%- endmacro %}


{#- A medium that says that the visit was paid for, or the click id of an ad (fbclid is on free links too). -#}
{% macro is_paid_origin(medium, click_id_type) -%}
(
    regexp_full_match({{ medium }}, '.*cp[acmov].*|ppc|retargeting|remarketing|paid.*')
    or {{ click_id_type }} in ('gclid', 'gbraid', 'wbraid', 'yclid', 'msclkid', 'ttclid', 'bd_vid')
)
{%- endmacro %}
