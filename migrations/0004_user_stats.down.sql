drop trigger count_inserted on thought_diaries;
drop trigger count_updated on thought_diaries;
drop trigger count_deleted on thought_diaries;
drop function count_diaries();
drop table user_stats;
