drop function etag(text);
drop function diary_json(thought_diaries);
