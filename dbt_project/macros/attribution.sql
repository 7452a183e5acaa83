{#
    The arithmetic of the attribution models and of transitions between channels.

    Pure macros: they use their arguments only, so that the package `attribution` renders the very same SQL over
    plain frames. Formulas: design of the journeys; Anderl et al. 2016 (Markov chains, order 1); Zhao et al.
    2018, "Shapley value methods for attribution modeling in online advertising", section 3.2 (set form).
#}


{#
    Credits of each touch under every model: a query of one row per journey × model × touch, with the columns
    journey_id, attribution_model, `carry` and credit (double; sums to 1 per journey and model).

    `touches` is a relation or CTE, one row per touch, with
        journey_id, touch_id    together unique
        touched_at              orders the touches, then touch_id
        us_before               microseconds from the touch to the conversion
        channel
        is_known                the channel is neither direct nor unassigned
        is_paid                 the channel is a paid one
        is_contact              somebody called, wrote or came by this touch
        is_acquiring            the touch of the acquiring contact
        removal_effect          of the channel; NULL counts as 0
#}
{% macro touch_credits(touches, carry, half_life_us) %}
    with placed as (
        select
            *,
            row_number() over (partition by journey_id order by touched_at, touch_id) as i,
            count(*) over (partition by journey_id) as n,
            count(*) over (partition by journey_id, channel) as n_of_channel,
            row_number() over (partition by journey_id, channel order by touched_at, touch_id) as i_of_channel
        from {{ touches }}
    ),

    anchored as (
        select
            *,
            coalesce(max(case when is_known then i end) over (partition by journey_id), n) as last_non_direct,
            max(case when is_paid then i end) over (partition by journey_id) as last_paid,
            min(case when is_contact then i end) over (partition by journey_id) as first_contact,
            sum(case when i_of_channel = 1 then 1 else 0 end) over (partition by journey_id) as channels,
            -- The journey's latest touch counts as moment zero: the common factor cancels out when the weights
            -- are normalised, and it keeps them from vanishing when every touch is many half-lives old.
            pow(
                cast(0.5 as double),
                cast(us_before - min(us_before) over (partition by journey_id) as double) / {{ half_life_us }}
            ) as decay,
            cast(coalesce(removal_effect, 0) as double) / n_of_channel as effect
        from placed
    ),

    -- sums of decimals: the sum of doubles depends on the order of the rows
    shaped as (
        select
            *,
            cast(sum(cast(decay as decimal(38, 18))) over (partition by journey_id) as double) as decay_sum,
            cast(sum(cast(effect as decimal(38, 18))) over (partition by journey_id) as double) as effect_sum,
            -- tenths: three for each anchor that a touch is
            (case when i = 1 then 3 else 0 end)
            + (case when i = first_contact then 3 else 0 end)
            + (case when is_acquiring then 3 else 0 end) as anchor_tenths,
            sum(
                case when i = 1 or coalesce(i = first_contact, false) or is_acquiring then 0 else 1 end
            ) over (partition by journey_id) as others
        from anchored
    ),

    weighted as (
        select
            *,
            case when anchor_tenths > 0 then anchor_tenths else cast(1 as double) / others end as w_tenths,
            sum(anchor_tenths) over (partition by journey_id)
            + (case when others > 0 then 1 else 0 end) as w_tenths_sum
        from shaped
    )

    {% for model, credit in {
        'first_touch': 'case when i = 1 then 1.0 else 0.0 end',
        'last_touch': 'case when i = n then 1.0 else 0.0 end',
        'last_non_direct': 'case when i = last_non_direct then 1.0 else 0.0 end',
        'last_paid': 'case when i = coalesce(last_paid, last_non_direct) then 1.0 else 0.0 end',
        'linear': 'cast(1 as double) / n',
        'position_based':
            'case when n = 1 then 1.0 when n = 2 then 0.5 when i in (1, n) then 0.4 '
            ~ 'else cast(0.2 as double) / (n - 2) end',
        'time_decay': 'decay / decay_sum',
        'w_shape': 'w_tenths / w_tenths_sum',
        'removal_effect': 'case when effect_sum > 0 then effect / effect_sum else cast(1 as double) / n end',
        'shapley_set': 'cast(1 as double) / channels / n_of_channel',
    }.items() -%}
    select
        journey_id,
        '{{ model }}' as attribution_model,
        {% for column in carry -%}
        {{ column }},
        {% endfor -%}
        cast({{ credit }} as double) as credit
    from weighted
    {{ 'union all' if not loop.last }}
    {% endfor %}
{% endmacro %}


{#
    How often journeys went from one state to the next: a query with the columns from_state, to_state and
    transitions. States: `(start)`, the channels, `(conversion)`, `(null)`.

    `journeys` is a relation or CTE, one row per touch: journey_id, touch_id, touched_at, channel, is_converted.
#}
{% macro count_transitions(journeys) %}
    with ordered as (
        select
            channel,
            is_converted,
            lag(channel) over (partition by journey_id order by touched_at, touch_id) as previous_channel,
            lead(channel) over (partition by journey_id order by touched_at, touch_id) as next_channel
        from {{ journeys }}
    ),

    counted as (
        select
            previous_channel,
            channel,
            next_channel is null as is_last,
            is_converted,
            count(*) as touches
        from ordered
        group by previous_channel, channel, next_channel is null, is_converted
    ),

    steps as (
        select
            coalesce(previous_channel, '(start)') as from_state,
            channel as to_state,
            touches
        from counted

        union all

        select
            channel as from_state,
            case when is_converted then '(conversion)' else '(null)' end as to_state,
            touches
        from counted
        where is_last
    )

    select
        from_state,
        to_state,
        cast(sum(touches) as bigint) as transitions
    from steps
    group by from_state, to_state
{% endmacro %}
