-- When the model should be asked about an entry: null once it has marked it, a
-- time when it failed to, and 'infinity' when there was no model to ask.
alter table thought_diaries add column analysis_due_at timestamp default 'infinity';

comment on column thought_diaries.analysis_due_at is
    'From when on the sweep asks the model. Null: the model has marked it. Infinity: there was no model; asked last, once there is one.';

-- Its value after an analysis, by why the model did not mark the entry: null where it did.
create function analysis_due_at(fallback text) returns timestamp
language sql stable as $$
    select case
        when fallback is null then null
        when fallback = 'no_model' then 'infinity'
        else now() at time zone 'utc'
    end
$$;

update thought_diaries set analysis_due_at = analysis_due_at(
    case analyzed_by when 'model' then null when 'lexicon' then 'no_model' else 'unavailable' end
);

create index thought_diaries_analysis_due_at_id_idx on thought_diaries (analysis_due_at, id)
    where analysis_due_at is not null;

-- How many entries wait for the model after it failed; 10,000 where there are more, as counting has its price too.
create function diaries_waiting() returns bigint
language sql stable as $$
    select count(*) from (select from thought_diaries where analysis_due_at < 'infinity' limit 10000) waiting
$$;
