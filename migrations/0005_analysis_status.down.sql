drop function diaries_pending();
alter table thought_diaries
    drop column analysis_status,
    drop column analysis_retry_at,
    drop column analysis_attempts;
