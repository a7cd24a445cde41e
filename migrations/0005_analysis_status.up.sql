-- The state of an entry's analysis, and when the sweep calls the model next.
--
-- done      The model has marked it.
-- pending   The model should mark it. The sweep calls it from analysis_retry_at on.
-- no_model  No model was configured. The sweep takes these entries after all pending ones.
-- failed    The model failed on this text five times and is not called again until the text changes.
alter table thought_diaries
    add column analysis_status varchar(16) not null default 'no_model'
        constraint thought_diaries_analysis_status_check
        check (analysis_status in ('done', 'pending', 'no_model', 'failed')),
    add column analysis_retry_at timestamp not null default (now() at time zone 'utc'),
    add column analysis_attempts smallint not null default 0;

comment on column thought_diaries.analysis_retry_at is 'Used for pending and no_model only.';
comment on column thought_diaries.analysis_attempts is 'Calls of the model that failed on this text.';

update thought_diaries set analysis_status =
    case analyzed_by when 'model' then 'done' when 'lexicon' then 'no_model' else 'pending' end;

-- The order in which the sweep takes entries: pending before no_model, then the oldest first.
create index thought_diaries_sweep_idx
    on thought_diaries (analysis_status desc, analysis_retry_at, id)
    where analysis_status in ('pending', 'no_model');

-- The number of pending entries, counted up to 10,000 to bound the cost.
create function diaries_pending() returns bigint
language sql stable as $$
    select count(*) from (
        select from thought_diaries where analysis_status = 'pending' limit 10000
    ) pending
$$;
