-- HTML that the step up removed as unsafe is not restored. The texts of the entries never changed.
alter table thought_diaries drop column analyzed_by;
comment on column thought_diaries.analyzed_content is null;
drop function escape_html(text);
