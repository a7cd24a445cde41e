-- No id is given out twice: restores the sequences that step 1 has set back.
do $$
declare
    adopted adopted_ids;
    ids text;
begin
    for adopted in select * from adopted_ids loop
        ids := pg_get_serial_sequence(adopted.table_name, 'id');
        execute format('select setval(%L, %s) from %s where last_value < %2$s', ids, adopted.last_id, ids);
    end loop;
end $$;

drop table adopted_ids;
