drop function diary_page(uuid, integer, bigint, bigint);
