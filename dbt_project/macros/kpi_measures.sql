{#-
    What a target may name: the measures of marts that make a figure of each month, for the whole clinic or one of
    the values of a mart's key columns.

    A list, in the order in which a bare name is looked up: of several marts with the same measure and scope the
    first is meant. Each entry:
        mart        the name before the dot in `cost_per_call.calls`
        model       the relation that is read
        month       its month; a week is of the month of its Monday
        scopes      scope -> the column that must hold the target's scope_value; `clinic` is every mart's
        measures    name -> kpi_flow, kpi_ratio or kpi_share

    Left out are measures that cannot be made of sums (medians, intervals, distinct visitors), and figures to date,
    by which an older month is always better than a younger one.
-#}
{% macro kpi_tables() -%}
    {%- set look_back = var('lookback_days') -%}
    {%- set places = {
        'channel': 'channel',
        'source': 'source',
        'campaign': 'campaign',
        'event': "case when channel = 'event' then campaign end",
    } -%}
    {%- set of_patients = {
        'new_patients': kpi_flow('1'),
        'revenue_90d': kpi_flow(unit='money', days=90),
        'revenue_365d': kpi_flow(unit='money', days=365),
        'clv_90d_avg': kpi_ratio('revenue_90d', '1', unit='money', days=90),
        'clv_365d_avg': kpi_ratio('revenue_365d', '1', unit='money', days=365),
    } -%}
    {{ return([
        {
            'mart': 'monthly_summary',
            'model': 'monthly_summary',
            'month': 'month',
            'scopes': {},
            'measures': {
                'cost': kpi_flow(unit='money', lower=true),
                'calls': kpi_flow(),
                'contacts': kpi_flow(),
                'bookings': kpi_flow(),
                'arrivals': kpi_flow(),
                'new_patients': kpi_flow(),
                'revenue': kpi_flow(unit='money'),
                'cost_per_call': kpi_ratio('cost', 'calls', unit='money', lower=true),
                'cost_per_patient': kpi_ratio('cost', 'new_patients', unit='money', lower=true),
            },
        },
        {
            'mart': 'patient_journeys',
            'model': 'patient_journeys',
            'month': month_of('first_visit_date'),
            'scopes': {'doctor': 'first_doctor', 'branch': 'branch', 'service_line': 'service_line'},
            'measures': of_patients,
        },
        {
            'mart': 'clv_by_first_doctor',
            'model': 'patient_journeys',
            'month': month_of('first_visit_date'),
            'scopes': {'doctor': 'first_doctor', 'branch': 'branch'},
            'measures': of_patients,
        },
        {
            'mart': 'clv_by_first_doctor',
            'model': 'reviews',
            'month': month_of('local_date'),
            'scopes': {'doctor': 'doctor', 'branch': 'branch'},
            'measures': {
                'ratings': kpi_flow('case when doctor is not null and rating is not null then 1 else 0 end'),
                'avg_rating': kpi_ratio(
                    'case when doctor is not null then rating end',
                    'case when doctor is not null and rating is not null then 1 else 0 end'
                ),
            },
        },
        {
            'mart': 'cost_per_patient',
            'model': 'cost_per_patient',
            'month': 'month',
            'scopes': dict(places, branch='branch', service_line='service_line'),
            'measures': {
                'cost': kpi_flow(unit='money', lower=true),
                'new_patients': kpi_flow(),
                'revenue_first_visit': kpi_flow(unit='money', days=35),
                'revenue_90d': kpi_flow(unit='money'),
                'revenue_365d': kpi_flow(unit='money'),
                'cost_per_patient': kpi_ratio('cost', 'new_patients', unit='money', lower=true),
                'cost_to_revenue': kpi_ratio('cost', 'revenue_365d', lower=true),
                'roas': kpi_ratio('revenue_365d', 'cost'),
                'romi': kpi_ratio('revenue_365d - cost', 'cost'),
            },
        },
        {
            'mart': 'cost_per_call',
            'model': 'cost_per_call',
            'month': 'month',
            'scopes': dict(places, branch='branch', service_line='service_line'),
            'measures': {
                'cost': kpi_flow(unit='money', lower=true),
                'impressions': kpi_flow(),
                'clicks': kpi_flow(),
                'sessions': kpi_flow(),
                'calls': kpi_flow(),
                'unique_calls': kpi_flow(),
                'first_time_calls': kpi_flow(),
                'answered_calls': kpi_flow(),
                'missed_calls': kpi_flow(lower=true),
                'target_calls': kpi_flow(),
                'cost_per_call': kpi_ratio('cost', 'calls', unit='money', lower=true),
                'cost_per_unique_call': kpi_ratio('cost', 'unique_calls', unit='money', lower=true),
                'cost_per_first_time_call': kpi_ratio('cost', 'first_time_calls', unit='money', lower=true),
                'cost_per_target_call': kpi_ratio('cost', 'target_calls', unit='money', lower=true),
            },
        },
        {
            'mart': 'acquisition_funnel',
            'model': 'acquisition_funnel',
            'month': month_of('day'),
            'scopes': places,
            'measures': {
                'impressions': kpi_flow(),
                'clicks': kpi_flow(),
                'sessions': kpi_flow(),
                'records': kpi_flow(),
                'dialogs': kpi_flow(),
                'valid': kpi_flow(),
                'contacts_left': kpi_flow(),
                'bookings': kpi_flow(days=look_back),
                'arrivals': kpi_flow(days=look_back),
                'new_patients': kpi_flow(days=look_back),
                'cost': kpi_flow(unit='money', lower=true),
                'cpm': kpi_ratio('1000 * cost', 'impressions', unit='money', lower=true),
                'ctr': kpi_ratio('clicks', 'impressions'),
                'cpc': kpi_ratio('cost', 'clicks', unit='money', lower=true),
                'reach_rate': kpi_ratio('records', 'clicks'),
                'open_rate': kpi_share('dialogs', 'records'),
                'valid_rate': kpi_ratio('valid', 'dialogs'),
                'contact_left_rate': kpi_ratio('contacts_left', 'valid'),
                'booking_rate': kpi_ratio('bookings', 'valid', days=look_back),
                'show_rate': kpi_share('arrivals', 'bookings_due', days=look_back),
                'conversion_rate': kpi_ratio('arrivals', 'valid', days=look_back),
                'cost_per_session': kpi_ratio('cost', 'sessions', unit='money', lower=true),
                'cost_per_record': kpi_ratio('cost', 'records', unit='money', lower=true),
                'cost_per_dialog': kpi_ratio('cost', 'dialogs', unit='money', lower=true),
                'cost_per_valid': kpi_ratio('cost', 'valid', unit='money', lower=true),
                'cost_per_contact_left': kpi_ratio('cost', 'contacts_left', unit='money', lower=true),
                'cost_per_booking': kpi_ratio('cost', 'bookings', unit='money', lower=true, days=look_back),
                'cost_per_arrival': kpi_ratio('cost', 'arrivals', unit='money', lower=true, days=look_back),
                'cost_per_patient': kpi_ratio('cost', 'new_patients', unit='money', lower=true, days=look_back),
            },
        },
        {
            'mart': 'operator_performance',
            'model': 'operator_performance',
            'month': 'month',
            'scopes': {'operator': 'operator', 'branch': 'branch'},
            'measures': {
                'contacts': kpi_flow(),
                'spam': kpi_flow(lower=true),
                'irrelevant': kpi_flow(lower=true),
                'existing_patients': kpi_flow(),
                'eligible': kpi_flow(),
                'missed': kpi_flow(lower=true),
                'contacts_left': kpi_flow(),
                'bookings': kpi_flow(days=look_back),
                'new_patients': kpi_flow(days=look_back),
                'converted': kpi_flow(days=look_back),
                'missed_rate': kpi_share('missed', 'eligible', lower=true),
                'contact_left_rate': kpi_share('contacts_left', 'eligible'),
                'booking_rate': kpi_share('bookings', 'eligible', days=look_back),
                'tag_score': kpi_share('tag_score * scored', 'scored'),
                'new_patient_rate': kpi_share('converted', 'eligible', days=look_back),
                'revenue_lost': kpi_flow(unit='money', lower=true),
                'wage': kpi_flow(unit='money', lower=true),
            },
        },
        {
            'mart': 'missed_contacts',
            'model': 'missed_contacts',
            'month': 'month',
            'scopes': {'channel': 'channel', 'source': 'source'},
            'measures': {
                'first_contacts': kpi_flow(),
                'missed': kpi_flow(lower=true),
                'recovered': kpi_flow(days=1),
                'not_recovered': kpi_flow(lower=true, days=1),
                'missed_rate': kpi_share('missed', 'first_contacts', lower=true),
                'recovery_rate': kpi_share('recovered', 'missed', days=1),
                'spend_wasted': kpi_flow(unit='money', lower=true, days=1),
                'revenue_lost': kpi_flow(unit='money', lower=true, days=1),
            },
        },
        {
            'mart': 'site_traffic',
            'model': 'site_traffic',
            'month': 'month',
            'scopes': {
                'channel': 'channel', 'region': 'region', 'device': 'device', 'landing_page': 'landing_page',
            },
            'measures': {
                'sessions': kpi_flow(),
                'pageviews': kpi_flow(),
                'bounces': kpi_flow(lower=true),
                'unique_calls': kpi_flow(),
            },
        },
        {
            'mart': 'doctor_performance',
            'model': 'doctor_performance',
            'month': 'month',
            'scopes': {'doctor': 'doctor', 'branch': 'branch'},
            'measures': {
                'new_patients': kpi_flow(),
                'revenue_first_visit': kpi_flow(unit='money', days=35),
                'visits': kpi_flow(),
                'repeat_visits': kpi_flow(),
                'repeats_per_new_patient': kpi_ratio('repeat_visits', 'new_patients'),
                'revenue': kpi_flow(unit='money'),
                'shift_hours': kpi_flow(),
                'revenue_per_shift_hour': kpi_ratio(
                    'case when shift_hours is not null then revenue end', 'shift_hours', unit='money'
                ),
                'ratings': kpi_flow(),
                'avg_rating': kpi_ratio('avg_rating * ratings', 'ratings'),
            },
        },
        {
            'mart': 'revenue_structure',
            'model': 'revenue_structure',
            'month': 'month',
            'scopes': {
                'branch': 'branch', 'doctor': 'doctor', 'service_group': 'service_group', 'service': 'service',
                'visit_kind': 'visit_kind', 'payer': 'payer',
            },
            'measures': {
                'revenue': kpi_flow(unit='money'),
                'billed': kpi_flow(unit='money'),
            },
        },
        {
            'mart': 'keyword_performance',
            'model': 'keyword_performance',
            'month': 'month',
            'scopes': {
                'source': 'source', 'campaign': 'campaign', 'ad_group': 'ad_group', 'keyword': 'keyword',
            },
            'measures': {
                'impressions': kpi_flow(),
                'clicks': kpi_flow(),
                'cost': kpi_flow(unit='money', lower=true),
                'sessions': kpi_flow(),
                'contacts': kpi_flow(),
                'new_patients': kpi_flow(),
                'ctr': kpi_ratio('clicks', 'impressions'),
                'cpc': kpi_ratio('cost', 'clicks', unit='money', lower=true),
                'cost_per_contact': kpi_ratio(
                    'cost', 'case when is_reported then contacts end', unit='money', lower=true
                ),
                'cost_per_patient': kpi_ratio(
                    'cost', 'case when is_reported then new_patients end', unit='money', lower=true
                ),
            },
        },
        {
            'mart': 'capacity_utilisation',
            'model': 'capacity_utilisation',
            'month': month_of('week'),
            'scopes': {'branch': 'branch', 'resource': 'resource', 'room': 'room', 'doctor': 'doctor'},
            'measures': {
                'booked_visits': kpi_flow(days=6),
                'attended_visits': kpi_flow(days=6),
                'utilisation': kpi_share(
                    'booked_in_shift_minutes',
                    'case when booked_in_shift_minutes is not null then maximum_minutes end',
                    days=6
                ),
                'attended_utilisation': kpi_share(
                    'attended_in_shift_minutes',
                    'case when attended_in_shift_minutes is not null then maximum_minutes end',
                    days=6
                ),
            },
        },
    ]) }}
{%- endmacro %}


{#-
    A figure that adds up over rows and months: `top` is the expression, else the measure's own name.
    `lower` means that less is better where the target does not say otherwise; `days` is how long after its last day
    a month's figure still grows.
-#}
{% macro kpi_flow(top=none, unit='number', lower=false, days=0) -%}
    {{ return({'kind': 'flow', 'top': top, 'bottom': none, 'unit': unit, 'lower': lower, 'days': days}) }}
{%- endmacro %}


{#- A figure per unit, made anew of the sums of both. -#}
{% macro kpi_ratio(top, bottom, unit='ratio', lower=false, days=0) -%}
    {{ return({'kind': 'ratio', 'top': top, 'bottom': bottom, 'unit': unit, 'lower': lower, 'days': days}) }}
{%- endmacro %}


{#- A part of a whole, between 0 and 1. -#}
{% macro kpi_share(top, bottom, lower=false, days=0) -%}
    {{ return({'kind': 'share', 'top': top, 'bottom': bottom, 'unit': 'share', 'lower': lower, 'days': days}) }}
{%- endmacro %}


{# Months that a forecast's line is drawn through, and the fewest that make one or tell what is usual. #}
{% macro kpi_line_months() -%}
    {{ return(12) }}
{%- endmacro %}


{# An expression for each month of the line, added up from the latest one back; `#` in it stands for how many
   months back the month is. #}
{% macro kpi_line_sum(expression) -%}
    (
        {%- for k in range(kpi_line_months()) %}
        {{ expression | replace('#', k) }}{{ ' +' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}


{% macro kpi_fewest_months() -%}
    {{ return(6) }}
{%- endmacro %}


{# Months of the past that the needed pace is compared with. #}
{% macro kpi_past_months() -%}
    {{ return(24) }}
{%- endmacro %}


{# The words of kpi_scorecard.status, in the order in which they are tried. #}
{% macro kpi_statuses() -%}
    {{ return([
        'unknown_metric', 'unknown_scope', 'incomplete', 'waiting', 'no_data', 'reached', 'missed', 'on_track',
        'behind',
    ]) }}
{%- endmacro %}


{# The name by which a metric or the value of a scope is known, however it is written. #}
{% macro kpi_name(text) -%}
    lower(trim({{ text }}))
{%- endmacro %}


{# What a target or an observation is about: the clinic where it names nothing, `(none)` where it names only the
   value. #}
{% macro kpi_scope(scope, scope_value) -%}
    coalesce(
        nullif(lower(trim({{ scope }})), ''),
        case when nullif(trim({{ scope_value }}), '') is null then 'clinic' else '(none)' end
    )
{%- endmacro %}


{# A forecast no lower than what cannot be undone and no higher than the whole; NULL stays NULL. #}
{% macro within_bounds(figure) -%}
    case
        when {{ figure }} < floor_of_forecast then floor_of_forecast
        when {{ figure }} > ceiling_of_forecast then ceiling_of_forecast
        else {{ figure }}
    end
{%- endmacro %}
