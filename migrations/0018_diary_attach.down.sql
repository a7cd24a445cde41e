drop function diary_attach(integer, text, text, integer, integer, text, text, boolean);
