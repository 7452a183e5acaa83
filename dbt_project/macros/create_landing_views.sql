{#-
    One view per landed stream, over its empty schema file and the files that its manifests name.

    A manifest is renamed into place when a load commits, so a run that has read it sees whole loads only;
    a glob over the Parquet files could see half of one. Hive partitioning is off because the folder
    source=<name> would otherwise shadow the column `source`.
-#}
{% macro create_landing_views() %}
    {%- if execute and flags.WHICH in ['run', 'build', 'test', 'seed', 'run-operation', 'show', 'snapshot'] -%}
        {%- do run_query('create schema if not exists landing') -%}
        {%- for kind, stream in var('streams') -%}
            {%- set folder = var('landing_dir') ~ '/' ~ kind ~ '/' ~ stream -%}
            {%- set files = [folder ~ '/schema.parquet'] -%}
            {%- set manifests -%}
                select file from glob({{ sql_text(folder ~ '/source=*/manifest.json') }}) order by file
            {%- endset -%}
            {%- for manifest in run_query(manifests).columns[0].values() -%}
                {%- set here = manifest.rsplit('manifest.json', 1)[0] -%}
                {%- set content = run_query('select content from read_text(' ~ sql_text(manifest) ~ ')') -%}
                {%- for name in fromjson(content.columns[0].values()[0])['files'] -%}
                    {%- do files.append(here ~ name) -%}
                {%- endfor -%}
            {%- endfor -%}
            {%- set literals = [] -%}
            {%- for file in files -%}{%- do literals.append(sql_text(file)) -%}{%- endfor -%}
            {%- set view -%}
                create or replace view landing.{{ quoted(kind ~ '__' ~ stream) }} as
                select * from read_parquet(
                    [{{ literals | join(', ') }}], union_by_name = true, hive_partitioning = false
                )
            {%- endset -%}
            {%- do run_query(view) -%}
        {%- endfor -%}
        {%- do create_loads_view() -%}
    {%- endif -%}
{% endmacro %}


{#- The load records are JSON Lines appended by the landing zone; before the first load there is no file. -#}
{% macro create_loads_view() %}
    {%- set path = var('landing_dir') ~ '/loads.jsonl' -%}
    {%- set columns = {
        'load_id': 'varchar', 'source': 'varchar', 'stream': 'varchar', 'kind': 'varchar', 'file': 'varchar',
        'status': 'varchar', 'rows_read': 'bigint', 'rows_landed': 'bigint', 'rows_duplicate': 'bigint',
        'rows_quarantined': 'bigint', 'rows_skipped': 'bigint', 'unknown_columns': 'varchar[]',
        'control_totals': 'map(varchar, varchar)', 'sums': 'map(varchar, varchar)',
        'notes': 'varchar[]', 'started': 'timestamptz', 'finished': 'timestamptz', 'error': 'varchar',
    } -%}
    {%- set found = run_query('select count(*) from glob(' ~ sql_text(path) ~ ')').columns[0].values()[0] -%}
    {%- set relation -%}
        {%- if found -%}
            select * from read_json(
                {{ sql_text(path) }}, format = 'newline_delimited', columns = {
                    {%- for name, type in columns.items() -%}
                        {{ name }}: {{ sql_text(type) }}{{ ', ' if not loop.last }}
                    {%- endfor -%}
                }
            )
        {%- else -%}
            select
                {% for name, type in columns.items() -%}
                    cast(null as {{ type }}) as {{ name }}{{ ', ' if not loop.last }}
                {%- endfor %}
            where false
        {%- endif -%}
    {%- endset -%}
    {%- do run_query('create or replace view landing.ops__loads as ' ~ relation) -%}
{% endmacro %}
