{# Folding events into sessions. #}


{# The columns that are taken together from one event, and which event that is. Every name is unique. #}
{% macro session_parts() -%}
    {{ return({
        'signed_in': {'columns': ['user_ref'], 'where': 'user_ref is not null'},
        'place': {'columns': ['device', 'city', 'region'], 'where': 'device is not null'},
        'landing': {
            'columns': [
                'page_host', 'page_path', 'referrer_host', 'page_source', 'page_medium', 'page_campaign',
                'page_campaign_id', 'page_content', 'page_term', 'page_click_id_type', 'page_click_id',
            ],
            'where': 'page_path is not null',
            'after': "event_name not in ('page_view', 'screen_view')",
        },
        'ads': {
            'columns': ['ads_campaign_id', 'ads_campaign'],
            'where': tells_origin('coalesce(ads_campaign_id, ads_campaign)'),
        },
        'manual': {
            'columns': [
                'manual_source', 'manual_medium', 'manual_campaign', 'manual_campaign_id', 'manual_content',
                'manual_term',
            ],
            'where': tells_origin('manual_source'),
        },
        'cross_channel': {
            'columns': ['cross_source', 'cross_medium', 'cross_campaign', 'cross_campaign_id'],
            'where': tells_origin('cross_source'),
        },
        'collected': {
            'columns': [
                'collected_source', 'collected_medium', 'collected_campaign', 'collected_campaign_id',
                'collected_content', 'collected_term', 'collected_gclid',
            ],
            'where': tells_origin('collected_source') ~ ' or collected_gclid is not null',
        },
        'params': {
            'columns': ['param_source', 'param_medium', 'param_campaign', 'param_content', 'param_term'],
            'where': tells_origin('param_source'),
        },
    }) }}
{%- endmacro %}


{# The values of several columns from the session's first event for which `where` holds, as one value: NULLs
   among them stay, where an aggregate per column would take the next event's. #}
{% macro first_event(columns, where, after='false') -%}
min_by(
    struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %}),
    struct_pack(
        later := {{ after }},
        occurred_at := occurred_at,
        page := coalesce(batch_page_id, 0),
        ordering := coalesce(batch_ordering_id, 0),
        position := coalesce(batch_event_index, 0),
        event_key := event_key
    )
) filter (where {{ where }})
{%- endmacro %}


{# Whether a source says where the visitor came from: GA4 writes its words for "nowhere" and "not known" too. #}
{% macro tells_origin(source) -%}
({{ source }} is not null and {{ source }} not in ('(direct)', '(not set)', '(none)'))
{%- endmacro %}
