drop table adopted_ids;
