drop function diary_delete(uuid, integer, integer, text[]);
drop function diary_update(
    uuid, integer, integer, text[], text, text, integer, integer, text, text, float8
);
drop function diary_write_outcome(thought_diaries, integer, text[]);
drop function diary_create(
    uuid, integer, text, text, integer, integer, text, text, float8, text, text
);
