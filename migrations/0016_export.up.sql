-- A page of what is stored about a user, as JSON lines: at most 100 rows of a
-- part, the oldest first. Each line has a type: account, session, audit_log or diary.
--
-- after is null for the first page, and otherwise the last_row of the page before.
-- lines is null after the last page. is_active is false if the session is not active.
create function account_export(
    session_id uuid, owner integer, part text, after text,
    out is_active boolean, out lines text, out last_row text
)
language plpgsql stable as $$
#variable_conflict use_variable
begin
    is_active := session_is_active(session_id, owner);
    if not is_active then
        return;
    end if;
    case part
    when 'account' then
        select
            json_build_object(
                'type', 'account', 'id', id, 'email', email,
                'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
            ) || e'\n',
            'account'
        into lines, last_row
        from users where id = owner and after is null;
    when 'sessions' then
        select
            string_agg(json_build_object(
                'type', 'session', 'id', id,
                'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'last_used_at', to_char(last_used_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'user_agent', user_agent
            ) || e'\n', '' order by created_at, id),
            'sessions'
        into lines, last_row
        from sessions session where session.user_id = owner and after is null;
    when 'audit_log' then
        select string_agg(line, '' order by id), max(id) into lines, last_row from (
            select
                logged.id,
                json_build_object(
                    'type', 'audit_log', 'action', action,
                    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                ) || e'\n' as line
            from audit_log logged where logged.user_id = owner and logged.id > coalesce(after::bigint, 0)
            order by logged.id limit 100
        ) page;
    when 'diaries' then
        select
            string_agg(line, '' order by created_at, id),
            max(array[to_char(created_at, 'YYYY-MM-DD HH24:MI:SS.US'), lpad(id::text, 10, '0')])::text
        into lines, last_row
        from (
            select
                entry.id, entry.created_at,
                '{"type":"diary",' || substr(diary_json(entry), 2) || e'\n' as line
            from thought_diaries entry
            where entry.user_id = owner and (entry.created_at, entry.id) > (
                coalesce((after::text[])[1], '-infinity')::timestamp,
                coalesce((after::text[])[2], '0')::integer
            )
            order by entry.created_at, entry.id limit 100
        ) page;
    end case;
end $$;

-- For the pages of the log. Those of the entries use the index of the list.
create index audit_log_user_id_id_idx on audit_log (user_id, id);
