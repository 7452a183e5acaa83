select
    source_name,
    kind,
    id,
    channel,
    -- reserved in DuckDB, though the linter does not know
    "by", -- noqa: RF06
    "on",
    reason
from {{ source('mapped_file', 'channel_overrides') }}
