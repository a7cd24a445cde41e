-- Markup that the step up found unsafe does not come back; the entries themselves never changed.
alter table thought_diaries drop column analyzed_by;
comment on column thought_diaries.analyzed_content is null;
drop function escape_html(text);
