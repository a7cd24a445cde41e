-- Keeps tables that have rows, with the columns of the replaced service, so that
-- going down never deletes diaries. Going up again adopts them.
do $$
begin
    if exists (select from users) then
        drop index if exists thought_diaries_user_id_created_at_id_idx;
    else
        drop table thought_diaries;
        drop table users;
    end if;
end $$;
