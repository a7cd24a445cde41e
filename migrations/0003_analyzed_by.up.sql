-- What marked the phrases. If null, nothing did, and analyzed_content is not shown.
alter table thought_diaries
    add column analyzed_by varchar(16)
    constraint thought_diaries_analyzed_by_check check (analyzed_by in ('model', 'lexicon'));

-- PL/pgSQL, so that the planner does not inline five nested calls into every statement.
create function escape_html(plain text) returns text
language plpgsql immutable strict parallel safe as $$
begin
    return replace(replace(replace(replace(replace(plain,
        '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
end $$;

comment on column thought_diaries.analyzed_content is
    'The content, HTML-escaped, with spans of class positive and negative as its only tags. Trusted only where analyzed_by is set.';

-- The replaced service stored its model's reply as it was. A reply is kept if it
-- is safe: the two span tags only, never nested, around exactly the entry's text.
-- Otherwise it is removed, and the entry counts as not analyzed.
with adopted as (
    select
        id,
        analyzed_content ~ '^([^<>]|<span class="(positive|negative)">[^<>]+</span>)*$'
            and replace(replace(replace(
                    regexp_replace(analyzed_content, '<span class="(positive|negative)">|</span>', '', 'g'),
                '&quot;', '"'), '&#39;', ''''), '&#x27;', '''')
            = replace(replace(escape_html(content), '&quot;', '"'), '&#39;', '''') as safe,
        (select count(*) from regexp_matches(analyzed_content, '<span class="positive">', 'g')) as positive,
        (select count(*) from regexp_matches(analyzed_content, '<span class="negative">', 'g')) as negative
    from thought_diaries
)
update thought_diaries d set
    analyzed_by = case when a.safe then 'model' end,
    analyzed_content = case when a.safe then d.analyzed_content end,
    positive_count = case when a.safe then a.positive else 0 end,
    negative_count = case when a.safe then a.negative else 0 end
from adopted a
where a.id = d.id;
