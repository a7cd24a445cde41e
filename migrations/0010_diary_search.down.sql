drop index thought_diaries_search_idx;
drop function search_terms(integer, text);
