-- A diary as the contract shows it. An entry that nobody analysed shows its own
-- text, escaped; what its column holds is not trusted.
create type diary as (
    id integer,
    content text,
    analyzed_content text,
    positive_count integer,
    negative_count integer,
    sentiment text,
    analyzed_by text,
    created_at text,
    updated_at text
);

-- One expression, so that Postgres puts it into the statement that uses it.
create function diary(entry thought_diaries) returns diary
language sql stable as $$
    select row(
        entry.id,
        entry.content,
        case when entry.analyzed_by is null then escape_html(entry.content) else entry.analyzed_content end,
        entry.positive_count,
        entry.negative_count,
        case
            when entry.positive_count > entry.negative_count then 'positive'
            when entry.positive_count < entry.negative_count then 'negative'
            else 'neutral'
        end,
        entry.analyzed_by,
        to_char(entry.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        to_char(entry.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    )::diary
$$;

-- The two below are what the service does most. Spin prepares each statement
-- anew, and these take longer to plan than to run; a function's plans are kept
-- with the pooled connection.

-- A page of the list, as the contract shows it; null when the login has ended.
-- Calling `diary` for each entry would cost a fifth more, so its columns stand
-- here once more. Its plan has to be told to be kept, as one for the very values
-- of each call looks better by more than it is; half of the time goes into that.
-- The order is that of an index: to sort a long history is never right.
create function diary_page(login uuid, owner integer, number bigint, per_page bigint) returns text
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_sort = off
as $$
declare
    items text;
    total bigint;
begin
    if not exists (
        select from sessions where id = login and user_id = owner and expires_at > now()
    ) then
        return null;
    end if;
    total := coalesce((select total_entries from user_stats where user_id = owner), 0);
    items := (
        select coalesce(json_agg(page), '[]')::text from (
            select id, content,
                case when analyzed_by is null then escape_html(content) else analyzed_content end
                    as analyzed_content,
                positive_count, negative_count,
                case when positive_count > negative_count then 'positive'
                    when positive_count < negative_count then 'negative'
                    else 'neutral' end as sentiment,
                analyzed_by,
                to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
                to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at
            from thought_diaries
            where user_id = owner
            order by thought_diaries.created_at desc, thought_diaries.id desc
            limit per_page offset (number - 1) * per_page
        ) page
    );
    return concat(
        '{"items":', items, ',"page":', number, ',"per_page":', per_page,
        ',"total":', total, ',"pages":', (total + per_page - 1) / per_page, '}'
    );
end $$;

-- A new entry, as the contract shows it; null when the login has ended.
create function diary_create(
    login uuid, owner integer,
    content text, analyzed_content text, positive_count integer, negative_count integer,
    analyzed_by text, fallback text
) returns text
language plpgsql as $$
#variable_conflict use_column
declare
    created text;
begin
    insert into thought_diaries as entry
        (user_id, content, analyzed_content, positive_count, negative_count, analyzed_by, analysis_due_at)
    select
        owner, diary_create.content, diary_create.analyzed_content, diary_create.positive_count,
        diary_create.negative_count, diary_create.analyzed_by, analysis_due_at(fallback)
    from sessions
    where sessions.id = login and sessions.user_id = owner and sessions.expires_at > now()
    returning row_to_json(diary(entry)) into created;
    return created;
end $$;
