-- Writes per user, for the limit on them. The statement that writes counts, which
-- costs no round trip of its own, and needs no Redis.
-- Unlogged, because the counts may be lost in a crash and are written with every entry.
create unlogged table write_counts (
    user_id integer constraint write_counts_pkey primary key
        constraint write_counts_user_id_fkey references users (id) on delete cascade,
    writes bigint not null,
    window_ends_at timestamp not null
);

-- Counts a write. Returns the session, or null if it is not active or its user has
-- exceeded the limit: with null, the functions that write entries change nothing.
--
-- writes is the number of writes in the current window, and seconds_left the time
-- until it ends. Both are null if the limit is off (max_writes is null), or the
-- session is not active: the holder of a revoked token uses up nobody's writes.
create function write_count(
    inout session_id uuid, owner integer, max_writes bigint, window_seconds float8,
    out writes bigint, out seconds_left bigint
)
language plpgsql as $$
#variable_conflict use_variable
declare
    current_time_utc timestamp := now() at time zone 'utc';
    counted write_counts;
begin
    if max_writes is null then
        return;
    end if;
    if not session_is_active(session_id, owner) then
        session_id := null;
        return;
    end if;
    insert into write_counts as existing (user_id, writes, window_ends_at)
    values (owner, 1, current_time_utc + make_interval(secs => window_seconds))
    on conflict on constraint write_counts_pkey do update set
        writes = case
            when existing.window_ends_at <= current_time_utc then 1
            else existing.writes + 1
        end,
        window_ends_at = case
            when existing.window_ends_at <= current_time_utc then excluded.window_ends_at
            else existing.window_ends_at
        end
    returning * into counted;
    writes := counted.writes;
    seconds_left := greatest(1, ceil(extract(epoch from counted.window_ends_at - current_time_utc)));
    if writes > max_writes then
        session_id := null;
    end if;
end $$;
