drop function diary_import(uuid, integer, json);
drop function marks_are_safe(text, text);
