{#-
    Where each node of `edges` (CTE with columns node, next_node; at most one row per node) ends.

    Gives the CTEs `reached` and `resolved` (node, final_node), to be placed after `with recursive`. A chain
    that runs in a circle names no end: its smallest member stands for all of them.
-#}
{% macro resolve_chains(edges) -%}
reached as (
    select
        node,
        next_node as reached_node
    from {{ edges }}
    where next_node is distinct from node

    -- `union` drops a pair seen before, so that a circle ends
    union

    select
        reached.node,
        {{ edges }}.next_node as reached_node
    from reached
    inner join {{ edges }}
        on reached.reached_node = {{ edges }}.node
),

resolved as (
    select
        reached.node,
        coalesce(
            min(reached.reached_node) filter (where {{ edges }}.node is null),
            min(reached.reached_node)
        ) as final_node
    from reached
    left join {{ edges }}
        on
            reached.reached_node = {{ edges }}.node
            and {{ edges }}.next_node is distinct from {{ edges }}.node
    group by reached.node
)
{%- endmacro %}
