-- Attaches a new analysis to an entry, and returns the entry as JSON. Changes
-- nothing and returns null if the entry is gone, has another text by now, or has
-- the model's marks and the new ones are not the model's.
--
-- A text on which the model failed is due again after 1, 4, 16 and 64 minutes.
-- A null argument keeps the entry's value. It is a function so that Postgres keeps
-- its plan, as in migration 0008.
create function diary_attach(
    diary_id integer,
    content text, analyzed_content text, positive_count integer, negative_count integer,
    analyzed_by text, analysis_status text, text_failed boolean,
    out diary text
)
language plpgsql as $$
#variable_conflict use_variable
begin
    update thought_diaries entry set
        analyzed_content = coalesce(diary_attach.analyzed_content, entry.analyzed_content),
        positive_count = coalesce(diary_attach.positive_count, entry.positive_count),
        negative_count = coalesce(diary_attach.negative_count, entry.negative_count),
        analyzed_by = coalesce(diary_attach.analyzed_by, entry.analyzed_by),
        analysis_status = case
            when text_failed and entry.analysis_attempts >= 4 then 'failed'
            else diary_attach.analysis_status
        end,
        analysis_attempts = entry.analysis_attempts + text_failed::integer,
        analysis_retry_at = now() at time zone 'utc'
            + text_failed::integer * make_interval(mins => (4 ^ entry.analysis_attempts)::integer)
    where entry.id = diary_id and entry.content = content
        and (entry.analysis_status <> 'done' or analysis_status = 'done')
    returning diary_json(entry) into diary;
end $$;
