-- Totals per user, so that neither the list nor the statistics count rows. Every
-- statement that writes a diary keeps them in the same statement.
create table user_stats (
    user_id integer primary key constraint user_stats_user_id_fkey references users (id) on delete cascade,
    total_entries bigint not null default 0,
    positive_entries bigint not null default 0,
    negative_entries bigint not null default 0
);

comment on table user_stats is 'Neutral entries are the total without the positive and the negative ones.';

insert into user_stats (user_id, total_entries, positive_entries, negative_entries)
select
    user_id,
    count(*),
    count(*) filter (where positive_count > negative_count),
    count(*) filter (where positive_count < negative_count)
from thought_diaries
group by user_id;
