-- Returns whether HTML is the text with nothing but marks added: the two span tags, never nested.
create function marks_are_safe(plain text, html text) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        html ~ '^([^<>]|<span class="(positive|negative)">[^<>]+</span>)*$'
            and regexp_replace(html, '<span class="(positive|negative)">|</span>', '', 'g') = escape_html(plain),
        false
    );
end $$;

-- Stores the entries of an export, a JSON array, with their original times.
-- Entries that the user has already, with the same text and time, are skipped, so
-- that an import can be repeated. Times are compared by the millisecond, which is
-- what an export has. Marks are kept if they are safe; otherwise the sweep
-- analyzes the entry.
--
-- The settings make Postgres look each entry up in the index of the list. It
-- would otherwise read all entries of the user for each batch.
create function diary_import(
    session_id uuid, owner integer, entries json,
    out outcome text, out imported bigint
)
language plpgsql
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_variable
begin
    -- One import at a time, because two at once would store the same entries twice.
    perform from users where id = owner for no key update;
    if not session_is_active(session_id, owner) then
        outcome := 'revoked';
        return;
    end if;
    with given as (
        select distinct on (created_at, content)
            *, analyzed_by in ('model', 'lexicon') and marks_are_safe(content, analyzed_content) as has_marks
        from json_to_recordset(entries) as line (
            content text, analyzed_content text, analyzed_by text, created_at timestamp, updated_at timestamp
        )
    ), inserted as (
        insert into thought_diaries (
            user_id, content, analyzed_content, positive_count, negative_count,
            analyzed_by, analysis_status, created_at, updated_at
        )
        select
            owner,
            given.content,
            case when has_marks then given.analyzed_content end,
            case when has_marks then (
                select count(*) from regexp_matches(given.analyzed_content, '<span class="positive">', 'g')
            ) else 0 end,
            case when has_marks then (
                select count(*) from regexp_matches(given.analyzed_content, '<span class="negative">', 'g')
            ) else 0 end,
            case when has_marks then given.analyzed_by end,
            case when not has_marks then 'pending' when given.analyzed_by = 'model' then 'done' else 'no_model' end,
            given.created_at,
            given.updated_at
        from given
        where not exists (
            select from thought_diaries entry
            where entry.user_id = owner and entry.content = given.content
                and entry.created_at >= given.created_at
                and entry.created_at < given.created_at + interval '1 millisecond'
        )
        returning id
    )
    select count(*) into imported from inserted;
    outcome := 'ok';
end $$;
