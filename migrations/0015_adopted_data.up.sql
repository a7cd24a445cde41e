-- What databases of the replaced service may hold, beyond what the first steps adopt.

-- Emails are looked up trimmed and in lower case. Those stored otherwise could not log in.
do $$
declare
    collisions text;
begin
    select string_agg(spellings, '; ') into collisions from (
        select string_agg(format('%L (id %s)', email, id), ', ' order by id) as spellings
        from users
        group by lower(regexp_replace(email, '^\s+|\s+$', '', 'g'))
        having count(*) > 1
    ) colliding;
    if collisions is not null then
        raise exception 'several accounts have the same email: %', collisions
            using hint = 'Emails are the same in upper and lower case. Rename or delete all but one account of each, then migrate again.';
    end if;
    update users set email = lower(regexp_replace(email, '^\s+|\s+$', '', 'g'))
    where email <> lower(regexp_replace(email, '^\s+|\s+$', '', 'g'));
end $$;

alter table users
    add constraint users_email_check check (email = lower(email) and email !~ '^\s|\s$');

-- Times are UTC without a time zone.
do $$
declare
    zoned record;
begin
    for zoned in
        select table_name, column_name from information_schema.columns
        where table_schema = current_schema() and table_name in ('users', 'thought_diaries')
            and column_name in ('created_at', 'updated_at') and data_type = 'timestamp with time zone'
    loop
        execute format('alter table %I alter column %I drop default', zoned.table_name, zoned.column_name);
        execute format(
            'alter table %I alter column %2$I type timestamp using %2$I at time zone ''utc''',
            zoned.table_name, zoned.column_name
        );
        execute format(
            'alter table %I alter column %I set default (now() at time zone ''utc'')',
            zoned.table_name, zoned.column_name
        );
    end loop;
end $$;

-- The replaced service stored plain text as analyzed where its model had failed.
-- Text without marks is therefore not taken for the model's: the sweep analyzes
-- it. Entries from after the adoption keep their analysis.
do $$
begin
    if to_regclass('_sqlx_migrations') is null then
        return;
    end if;
    update thought_diaries set
        analyzed_by = null, analyzed_content = null, analysis_status = 'pending'
    where analyzed_by = 'model' and positive_count = 0 and negative_count = 0
        and updated_at < (
            select installed_on at time zone 'utc' from _sqlx_migrations where version = 3
        );
end $$;
