-- The two tables of the replaced service, with its columns, so that its database
-- can be adopted in place. Each step below keeps what exists already.

create table if not exists users (
    id serial primary key,
    email varchar(255) not null,
    password_hash varchar(255) not null,
    created_at timestamp not null,
    updated_at timestamp not null
);

create table if not exists thought_diaries (
    id serial primary key,
    user_id integer not null,
    content text not null,
    analyzed_content text,
    positive_count integer not null,
    negative_count integer not null,
    created_at timestamp not null,
    updated_at timestamp not null
);

-- The replaced service set these columns in its own code. Here they have defaults.
update users set created_at = coalesce(created_at, updated_at, now() at time zone 'utc') where created_at is null;
update users set updated_at = created_at where updated_at is null;
update thought_diaries set created_at = coalesce(created_at, updated_at, now() at time zone 'utc') where created_at is null;
update thought_diaries set updated_at = created_at where updated_at is null;
update thought_diaries set positive_count = 0 where positive_count is null;
update thought_diaries set negative_count = 0 where negative_count is null;

alter table users
    alter column created_at set default (now() at time zone 'utc'),
    alter column created_at set not null,
    alter column updated_at set default (now() at time zone 'utc'),
    alter column updated_at set not null;

alter table thought_diaries
    alter column positive_count set default 0,
    alter column positive_count set not null,
    alter column negative_count set default 0,
    alter column negative_count set not null,
    alter column created_at set default (now() at time zone 'utc'),
    alter column created_at set not null,
    alter column updated_at set default (now() at time zone 'utc'),
    alter column updated_at set not null;

-- In an adopted table the ids may have no default, or be greater than their
-- sequence (after a restore, for example). The next id must be free in both cases.
do $$
declare
    adopted text;
begin
    foreach adopted in array array['users', 'thought_diaries'] loop
        if pg_get_serial_sequence(adopted, 'id') is null then
            execute format('create sequence if not exists %I owned by %I.id', adopted || '_id_seq', adopted);
            execute format('alter table %I alter column id set default nextval(%L)', adopted, adopted || '_id_seq');
        end if;
        execute format(
            'select setval(%L, (select max(id) from %I)) where exists (select from %I)',
            pg_get_serial_sequence(adopted, 'id'), adopted, adopted
        );
    end loop;
end $$;

-- One account per email. The replaced service may have ensured this by a constraint or by an index.
do $$
begin
    if not exists (
        select from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = 'users'::regclass and i.indisunique and i.indnkeyatts = 1
            and i.indpred is null and a.attname = 'email'
    ) then
        alter table users add constraint users_email_key unique (email);
    end if;
end $$;

-- Deleting a user deletes their diaries. An adopted foreign key may do something different, so it is replaced.
do $$
declare
    adopted record;
begin
    for adopted in
        select conname from pg_constraint
        where conrelid = 'thought_diaries'::regclass and contype = 'f' and confrelid = 'users'::regclass
    loop
        execute format('alter table thought_diaries drop constraint %I', adopted.conname);
    end loop;
    alter table thought_diaries
        add constraint thought_diaries_user_id_fkey
        foreign key (user_id) references users (id) on delete cascade;
end $$;

-- The order of the list, so that a page is read from the index without sorting.
create index if not exists thought_diaries_user_id_created_at_id_idx
    on thought_diaries (user_id, created_at desc, id desc);
