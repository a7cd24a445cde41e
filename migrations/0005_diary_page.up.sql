-- A page of the list. It is asked for more often than all else together, and
-- takes longer to plan than to run: Spin prepares each statement anew, while a
-- function's plans are kept with the pooled connection. A third of the time.
--
-- No row when the login has ended; else the total of the user's entries and a
-- JSON array. A diary looks here as in `DIARY` of the entries component.
create function diary_page(login uuid, owner integer, per_page bigint, skipped bigint)
returns table (total bigint, items text)
language plpgsql stable rows 1 as $$
begin
    if not exists (
        select from sessions where id = login and user_id = owner and expires_at > now()
    ) then
        return;
    end if;
    total := coalesce((select total_entries from user_stats where user_id = owner), 0);
    items := (
        select coalesce(json_agg(diary), '[]')::text from (
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
            limit per_page offset skipped
        ) diary
    );
    return next;
end $$;
