drop function diary_create(uuid, integer, text, text, integer, integer, text, text);
drop function diary_page(uuid, integer, bigint, bigint);
drop function diary(thought_diaries);
drop type diary;
