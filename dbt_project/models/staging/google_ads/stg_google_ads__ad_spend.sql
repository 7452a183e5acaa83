select
    source_name,
    spend_date,
    'google' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    -- `Performance Max` in the interface, PERFORMANCE_MAX in the API; other languages have their own words
    case lower(campaign_type)
        when 'suche' then 'search'
        when 'suchnetzwerk' then 'search'
        when 'recherche' then 'search'
        when 'réseau de recherche' then 'search'
        when 'búsqueda' then 'search'
        when 'buscar' then 'search'
        when 'displaynetzwerk' then 'display'
        when 'réseau display' then 'display'
        when 'red de display' then 'display'
        when 'vidéo' then 'video'
        when 'vídeo' then 'video'
        when 'máximo rendimiento' then 'performance_max'
        when 'génération de la demande' then 'demand_gen'
        when 'generación de demanda' then 'demand_gen'
        when 'intelligente' then 'smart'
        when 'inteligente' then 'smart'
        else replace(lower(campaign_type), ' ', '_')
    end as campaign_type,
    ad_group,
    keyword,
    case lower(device)
        when 'computers' then 'desktop'
        when 'computer' then 'desktop'
        when 'desktop' then 'desktop'
        when 'ordinateurs' then 'desktop'
        when 'ordenadores' then 'desktop'
        when 'computadoras' then 'desktop'
        when 'mobile phones' then 'mobile'
        when 'mobile' then 'mobile'
        when 'mobiltelefone' then 'mobile'
        when 'téléphones mobiles' then 'mobile'
        when 'mobiles' then 'mobile'
        when 'teléfonos móviles' then 'mobile'
        when 'móviles' then 'mobile'
        when 'tablets' then 'tablet'
        when 'tablet' then 'tablet'
        when 'tablettes' then 'tablet'
        when 'tv screens' then 'tv'
        when 'connected_tv' then 'tv'
        when 'tv-bildschirme' then 'tv'
        when 'écrans de télévision' then 'tv'
        when 'pantallas de tv' then 'tv'
    end as device,
    impressions,
    clicks,
    cost as cost_native,
    currency,
    -- tax is added on the invoice
    'excl' as tax_basis
from {{ source('google_ads', 'ad_spend') }}
