drop function diaries_waiting();
drop function analysis_due_at(text);
alter table thought_diaries drop column analysis_due_at;
