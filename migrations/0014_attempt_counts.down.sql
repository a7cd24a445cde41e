drop function attempts_count(text[], float8);
drop table attempt_counts;
