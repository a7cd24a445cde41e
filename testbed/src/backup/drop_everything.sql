-- Begins the transaction in which a backup is restored. The tables and functions that the role owns go first, so that
-- nothing of another version's schema stays beside the restored one.
begin;
do $$
declare
    command text;
    -- All at once, because a function may have gone with a table.
    commands text[] := array(
        select format('drop table if exists public.%I cascade', relname)
        from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and pg_has_role(relowner, 'member')
        union all
        select format('drop routine if exists %s cascade', proc.oid::regprocedure)
        from pg_proc proc
        where pronamespace = 'public'::regnamespace and pg_has_role(proowner, 'member')
            and not exists (select from pg_depend where objid = proc.oid and deptype = 'e')
    );
begin
    foreach command in array commands loop
        execute command;
    end loop;
end $$;
