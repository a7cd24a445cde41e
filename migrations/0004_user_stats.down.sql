drop table user_stats;
