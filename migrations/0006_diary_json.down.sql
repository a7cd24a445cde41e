drop function diary_create(uuid, integer, text, text, integer, integer, text, text);
drop function diary_page(uuid, integer, bigint, bigint);
drop function diary_json(thought_diaries);
