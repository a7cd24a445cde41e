-- Back to before the first step. Tables that hold people's rows are left as
-- they are, with the columns of the service we replace: a way back must not be
-- a way to lose diaries. Going up again adopts them.
do $$
begin
    if exists (select from users) then
        drop index if exists thought_diaries_user_id_created_at_id_idx;
    else
        drop table thought_diaries;
        drop table users;
    end if;
end $$;
