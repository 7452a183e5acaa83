-- Patients' money only: an operation that names neither client nor visit nor anything sold is the clinic's
-- own (rent, salaries, transfers between its accounts).
select
    transactions.source_name,
    transactions.transaction_id as payment_id,
    coalesce(transactions.visit_id, records.visit_id) as visit_id,
    coalesce(transactions.client_id, records.client_id) as patient_id,
    transactions.paid_at,
    -- what goes back to a client is negative, also where its own type of operation tells and not the sign
    case
        when lower(transactions.expense) like 'возврат%' then -abs(transactions.amount)
        else transactions.amount
    end as amount,
    transactions.currency,
    case
        when transactions.configured_payer_type is not null then transactions.configured_payer_type
        when not transactions.is_real_money
            then case
                when
                    regexp_full_match(
                        lower(concat_ws(' ', transactions.account, transactions.expense)),
                        '.*(депозит|лицев|личн|deposit).*'
                    )
                    then 'deposit'
                else 'loyalty'
            end
        when regexp_full_match(lower(transactions.account), '.*(дмс|страхов|insur).*') then 'insurer'
        when transactions.is_cash_account then 'cash'
        when regexp_full_match(lower(transactions.account), '.*(карт|эквайр|терминал|card|terminal).*')
            then 'card'
        when not transactions.is_cash_account then 'transfer'
        when regexp_full_match(lower(transactions.account), '.*(налич|касса|cash).*') then 'cash'
    end as payer_type
from {{ source('yclients', 'transactions') }} as transactions
left join {{ ref('stg_yclients__records') }} as records
    on
        transactions.source_name = records.source_name
        and transactions.record_id = records.record_id
where
    not transactions.is_deleted
    and (
        transactions.client_id is not null
        or transactions.visit_id is not null
        or transactions.record_id is not null
        or transactions.sold_item_type is not null
    )
