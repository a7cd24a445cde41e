-- The statements that write entries. They are PL/pgSQL functions because Spin
-- prepares every statement anew, and planning these takes longer than running
-- them: a function keeps its plans for the life of a pooled connection.
--
-- Each returns one row. Its outcome is 'ok', 'revoked' (the session is not
-- active), 'not_found', 'forbidden' (another user's entry), 'precondition_failed'
-- (If-Match) or 'key_reused' (Idempotency-Key). With 'ok', diary is the entry as
-- JSON, and analysis_stored tells whether the given analysis became the entry's.

-- Stores a new entry, or returns the one that the same key created before.
create function diary_create(
    session_id uuid, owner integer,
    content text, analyzed_content text, positive_count integer, negative_count integer,
    analyzed_by text, analysis_status text, retry_after_seconds float8,
    idempotency_key text, request_digest text,
    out outcome text, out diary text, out diary_id integer, out analysis_stored boolean
)
language plpgsql as $$
#variable_conflict use_variable
declare
    existing idempotency_keys;
begin
    if not session_is_active(session_id, owner) then
        outcome := 'revoked';
        return;
    end if;
    diary_id := nextval(pg_get_serial_sequence('thought_diaries', 'id'));
    if idempotency_key is not null then
        -- A concurrent request with the same key waits here until the first one commits.
        insert into idempotency_keys as keys (user_id, key, request_digest, diary_id)
        values (owner, idempotency_key, request_digest, diary_id)
        on conflict on constraint idempotency_keys_pkey do update set
            request_digest = excluded.request_digest,
            diary_id = excluded.diary_id,
            created_at = excluded.created_at
        where keys.created_at < now() at time zone 'utc' - interval '24 hours';
        if not found then
            select * into existing from idempotency_keys keys
            where keys.user_id = owner and keys.key = idempotency_key;
            diary_id := existing.diary_id;
            select diary_json(entry) into diary from thought_diaries entry where entry.id = diary_id;
            outcome := case
                when existing.request_digest <> request_digest then 'key_reused'
                when diary is null then 'not_found'
                else 'ok'
            end;
            analysis_stored := false;
            return;
        end if;
    end if;
    insert into thought_diaries as entry (
        id, user_id, content, analyzed_content, positive_count, negative_count,
        analyzed_by, analysis_status, analysis_retry_at
    ) values (
        diary_id, owner, content, analyzed_content, coalesce(positive_count, 0), coalesce(negative_count, 0),
        analyzed_by, analysis_status, now() at time zone 'utc' + make_interval(secs => retry_after_seconds)
    )
    returning diary_json(entry) into diary;
    outcome := 'ok';
    analysis_stored := true;
end $$;

-- Returns 'ok' if the user may change the entry in its current state.
create function diary_write_outcome(entry thought_diaries, owner integer, if_match text[]) returns text
language sql stable as $$
    select case
        when entry.id is null then 'not_found'
        when entry.user_id <> owner then 'forbidden'
        when etag(diary_json(entry)) <> all (if_match) then 'precondition_failed'
        else 'ok'
    end
$$;

-- Replaces the text of an entry. A text that did not change keeps the model's
-- marks, and the number of calls that failed on it.
create function diary_update(
    session_id uuid, owner integer, diary_id integer, if_match text[],
    content text, analyzed_content text, positive_count integer, negative_count integer,
    analyzed_by text, analysis_status text, retry_after_seconds float8,
    out outcome text, out diary text, out analysis_stored boolean
)
language plpgsql as $$
#variable_conflict use_variable
declare
    current_entry thought_diaries;
    is_unchanged boolean;
begin
    if not session_is_active(session_id, owner) then
        outcome := 'revoked';
        return;
    end if;
    select * into current_entry from thought_diaries entry where entry.id = diary_id for update;
    outcome := diary_write_outcome(current_entry, owner, if_match);
    if outcome <> 'ok' then
        return;
    end if;
    is_unchanged := current_entry.content = content;
    if is_unchanged and current_entry.analysis_status in ('done', 'failed') then
        update thought_diaries entry set updated_at = now() at time zone 'utc'
        where entry.id = diary_id
        returning diary_json(entry) into diary;
        analysis_stored := false;
        return;
    end if;
    update thought_diaries entry set
        content = diary_update.content,
        analyzed_content = diary_update.analyzed_content,
        positive_count = coalesce(diary_update.positive_count, 0),
        negative_count = coalesce(diary_update.negative_count, 0),
        analyzed_by = diary_update.analyzed_by,
        analysis_status = diary_update.analysis_status,
        analysis_retry_at = now() at time zone 'utc' + make_interval(secs => retry_after_seconds),
        analysis_attempts = case when is_unchanged then entry.analysis_attempts else 0 end,
        updated_at = now() at time zone 'utc'
    where entry.id = diary_id
    returning diary_json(entry) into diary;
    analysis_stored := true;
end $$;

-- Deletes an entry.
create function diary_delete(
    session_id uuid, owner integer, diary_id integer, if_match text[],
    out outcome text
)
language plpgsql as $$
#variable_conflict use_variable
declare
    current_entry thought_diaries;
begin
    if not session_is_active(session_id, owner) then
        outcome := 'revoked';
        return;
    end if;
    select * into current_entry from thought_diaries entry where entry.id = diary_id for update;
    outcome := diary_write_outcome(current_entry, owner, if_match);
    if outcome = 'ok' then
        delete from thought_diaries entry where entry.id = diary_id;
    end if;
end $$;
