-- The last ids that the replaced service has given out. Step 1 sets its sequences to
-- the greatest id in use. That is lower if the newest rows were deleted, and their ids
-- would be given out again. Step 20 restores the sequences.
create table adopted_ids (
    table_name text constraint adopted_ids_pkey primary key,
    last_id bigint not null
);

do $$
declare
    adopted text;
    ids text;
begin
    foreach adopted in array array['users', 'thought_diaries'] loop
        if to_regclass(adopted) is not null then
            ids := pg_get_serial_sequence(adopted, 'id');
        end if;
        if ids is not null then
            execute format('insert into adopted_ids select %L, last_value from %s where is_called', adopted, ids);
        end if;
        ids := null;
    end loop;
end $$;
