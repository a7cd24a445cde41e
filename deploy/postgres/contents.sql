-- Prints what a database holds, one line each: rows of every table; the totals that triggers keep, and the entries
-- counted; the last value of every sequence, and the highest id that it must not return again. A backup has these
-- lines beside it, of the same snapshot, and `cargo xtask restore` compares them with what it has restored.
--
-- query_to_xml runs a query whose table is chosen at run time, or may not exist before the migrations.

select format('rows %s %s', relname,
    (xpath('//n/text()', query_to_xml(format('select count(*) as n from public.%I', relname), false, false, '')))[1])
from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relpersistence = 'p'
order by relname;

select format('totals %s',
    (xpath('//n/text()', query_to_xml(
        'select format(''%s %s %s'', coalesce(sum(total_entries), 0),
            coalesce(sum(positive_entries), 0), coalesce(sum(negative_entries), 0)) as n
        from public.user_stats', false, false, '')))[1])
where to_regclass('public.user_stats') is not null;

select format('entries %s',
    (xpath('//n/text()', query_to_xml(
        'select format(''%s %s %s'', count(*), count(*) filter (where positive_count > negative_count),
            count(*) filter (where positive_count < negative_count)) as n
        from public.thought_diaries', false, false, '')))[1])
where to_regclass('public.user_stats') is not null;

select format('sequence %s %s', sequencename, coalesce(last_value, 0))
from pg_sequences where schemaname = 'public' order by sequencename;

select format('highest %s %s', sequence.relname,
    (xpath('//n/text()', query_to_xml(
        format('select coalesce(max(%I), 0) as n from public.%I', attname, owner.relname), false, false, '')))[1])
from pg_class sequence
join pg_depend on classid = 'pg_class'::regclass and objid = sequence.oid and deptype in ('a', 'i')
join pg_class owner on owner.oid = refobjid
join pg_attribute on attrelid = refobjid and attnum = refobjsubid
where sequence.relkind = 'S' and sequence.relnamespace = 'public'::regnamespace
order by sequence.relname;
