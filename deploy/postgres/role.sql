-- Creates the two database roles with the least rights that they need:
--   thought_diary_owner  owns the tables and functions; only migrations use it
--   thought_diary        serves requests; reads and writes rows, and changes no schema
--
-- Run it as a superuser, connected to the service's database. It can be run again:
--   psql --dbname=thought_diary --set=ON_ERROR_STOP=1 --file=role.sql
-- Then give each role a password of its own:
--   psql --dbname=thought_diary --command='\password thought_diary_owner'
--   psql --dbname=thought_diary --command='\password thought_diary'

begin;
set local client_min_messages = warning;

do $$
begin
    if to_regrole('thought_diary_owner') is null then
        create role thought_diary_owner login nosuperuser nocreatedb nocreaterole noreplication;
    end if;
    if to_regrole('thought_diary') is null then
        create role thought_diary login nosuperuser nocreatedb nocreaterole noreplication;
    end if;
end $$;

-- A change that waits for a lock blocks all later statements on the table, so it gives up before these time out.
-- `migrate up` sets the same timeout itself, and tries again.
alter role thought_diary_owner set lock_timeout = '1s';

-- The service sends the same limit itself. PgBouncer drops that parameter, so the role has it, too.
alter role thought_diary set statement_timeout = '2500ms';
alter role thought_diary set idle_in_transaction_session_timeout = '10s';
-- Compiling a statement takes longer than any of these runs.
alter role thought_diary set jit = off;

-- Nobody else may connect or create objects.
do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to thought_diary_owner, thought_diary', current_database());
end $$;

revoke all on schema public from public;
grant usage, create on schema public to thought_diary_owner;
grant usage on schema public to thought_diary;

-- An adopted database has tables of another owner. Sequences that a column owns change along with their table.
do $$
declare
    object record;
begin
    for object in
        select format('alter table %s owner to thought_diary_owner', oid::regclass) as command
        from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
            and relowner <> 'thought_diary_owner'::regrole
        union all
        select format('alter routine %s owner to thought_diary_owner', p.oid::regprocedure)
        from pg_proc p
        where pronamespace = 'public'::regnamespace and proowner <> 'thought_diary_owner'::regrole
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute object.command;
    end loop;
end $$;

-- What migrations create later.
alter default privileges for role thought_diary_owner in schema public
    grant select, insert, update, delete on tables to thought_diary;
alter default privileges for role thought_diary_owner in schema public
    grant usage on sequences to thought_diary;
alter default privileges for role thought_diary_owner in schema public
    grant execute on functions to thought_diary;

-- What exists already.
grant select, insert, update, delete on all tables in schema public to thought_diary;
grant usage on all sequences in schema public to thought_diary;
grant execute on all functions in schema public to thought_diary;

-- The record of applied migrations. `cargo xtask migrate` would create the same table. It exists before the
-- first migration so that the service gets the right to read it, for `/ready`, and not the right to change it.
create table if not exists _sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
);
alter table _sqlx_migrations owner to thought_diary_owner;
revoke all on _sqlx_migrations from thought_diary;
grant select on _sqlx_migrations to thought_diary;

commit;
