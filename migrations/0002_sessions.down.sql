drop function session_is_active(uuid, integer);
drop table sessions;
