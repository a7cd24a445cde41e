drop function write_count(uuid, integer, bigint, float8);
drop table write_counts;
