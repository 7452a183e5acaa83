{# The attribution models, in the order in which they are documented. #}
{% macro attribution_models() -%}
    {{ return([
        'first_touch', 'last_touch', 'last_non_direct', 'last_paid', 'linear', 'position_based', 'time_decay',
        'w_shape', 'removal_effect', 'shapley_set',
    ]) }}
{%- endmacro %}


{# The rules that link a patient to a contact, in the order in which they are tried. #}
{% macro linking_rules() -%}
    {{ return([
        'booking_reference', 'phone_at_booking', 'phone', 'visitor', 'self_reported', 'household', 'unlinked',
    ]) }}
{%- endmacro %}


{# Why a patient's first landed visit is not taken for the first visit. #}
{% macro history_unknown_reasons() -%}
    {{ return(['registered_before_history', 'clinic_says_not_primary', 'within_history_margin']) }}
{%- endmacro %}
