-- Attempts per client network, counted here while Redis is unreachable.
-- Unlogged, because the counts may be lost in a crash and are written often.
create unlogged table attempt_counts (
    key text constraint attempt_counts_pkey primary key,
    attempts bigint not null,
    window_ends_at timestamp not null
);

comment on column attempt_counts.key is 'HMAC-SHA256 of the route and the network, hex-encoded.';

-- For the deletion of old rows.
create index attempt_counts_window_ends_at_idx on attempt_counts (window_ends_at);

-- Counts an attempt under each key. Returns the numbers of attempts in the
-- current windows and the seconds left of them, as a JSON array of pairs in the order of the keys.
create function attempts_count(keys text[], window_seconds float8) returns text
language plpgsql as $$
declare
    current_time_utc timestamp := now() at time zone 'utc';
    counted jsonb := '[]';
    counted_key text;
    counts attempt_counts;
begin
    -- Instead of a sweep. Rows that another request is deleting are skipped.
    delete from attempt_counts old where old.key in (
        select expired.key from attempt_counts expired
        where expired.window_ends_at <= current_time_utc
        limit 10 for update skip locked
    );
    foreach counted_key in array keys loop
        insert into attempt_counts as existing (key, attempts, window_ends_at)
        values (counted_key, 1, current_time_utc + make_interval(secs => window_seconds))
        on conflict on constraint attempt_counts_pkey do update set
            attempts = case
                when existing.window_ends_at <= current_time_utc then 1
                else existing.attempts + 1
            end,
            window_ends_at = case
                when existing.window_ends_at <= current_time_utc then excluded.window_ends_at
                else existing.window_ends_at
            end
        returning * into counts;
        counted := counted || jsonb_build_array(jsonb_build_array(
            counts.attempts,
            greatest(1, ceil(extract(epoch from counts.window_ends_at - current_time_utc)))::bigint
        ));
    end loop;
    return counted::text;
end $$;
