-- Totals per user, so that neither the list nor the statistics count rows.
-- Triggers update them within every statement that writes diaries.
create table user_stats (
    user_id integer primary key constraint user_stats_user_id_fkey references users (id) on delete cascade,
    total_entries bigint not null default 0,
    positive_entries bigint not null default 0,
    negative_entries bigint not null default 0
);

comment on table user_stats is 'The number of neutral entries is the total minus the positive and the negative ones.';

-- Statement triggers update a total once, also when one statement writes many diaries.
create function count_diaries() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into user_stats as stats (user_id, total_entries, positive_entries, negative_entries)
        select
            user_id,
            count(*),
            count(*) filter (where positive_count > negative_count),
            count(*) filter (where positive_count < negative_count)
        from written
        group by user_id
        on conflict (user_id) do update set
            total_entries = stats.total_entries + excluded.total_entries,
            positive_entries = stats.positive_entries + excluded.positive_entries,
            negative_entries = stats.negative_entries + excluded.negative_entries;
    elsif tg_op = 'UPDATE' then
        update user_stats as stats set
            positive_entries = stats.positive_entries + moved.positive,
            negative_entries = stats.negative_entries + moved.negative
        from (
            select
                written.user_id,
                sum((written.positive_count > written.negative_count)::int
                    - (replaced.positive_count > replaced.negative_count)::int) as positive,
                sum((written.positive_count < written.negative_count)::int
                    - (replaced.positive_count < replaced.negative_count)::int) as negative
            from written join replaced using (id)
            group by written.user_id
        ) moved
        where stats.user_id = moved.user_id and (moved.positive <> 0 or moved.negative <> 0);
    else
        update user_stats as stats set
            total_entries = stats.total_entries - gone.total,
            positive_entries = stats.positive_entries - gone.positive,
            negative_entries = stats.negative_entries - gone.negative
        from (
            select
                user_id,
                count(*) as total,
                count(*) filter (where positive_count > negative_count) as positive,
                count(*) filter (where positive_count < negative_count) as negative
            from replaced
            group by user_id
        ) gone
        where stats.user_id = gone.user_id;
    end if;
    return null;
end $$;

create trigger count_inserted after insert on thought_diaries
    referencing new table as written
    for each statement execute function count_diaries();
create trigger count_updated after update on thought_diaries
    referencing old table as replaced new table as written
    for each statement execute function count_diaries();
create trigger count_deleted after delete on thought_diaries
    referencing old table as replaced
    for each statement execute function count_diaries();

insert into user_stats (user_id, total_entries, positive_entries, negative_entries)
select
    user_id,
    count(*),
    count(*) filter (where positive_count > negative_count),
    count(*) filter (where positive_count < negative_count)
from thought_diaries
group by user_id;
