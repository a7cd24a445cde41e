-- The numbers of a user's entries per day, week or month. Periods begin at
-- midnight in the time zone. A null last_day is today; a null first_day gives 30
-- periods. Dates are returned as numbers of days since 1970-01-01.
--
-- Returns arrays of the periods that have entries, oldest first. The component
-- adds those without: building 3,650 objects as JSON costs Postgres 8 ms. If the
-- time zone is unknown, everything is null.
create function diary_trend(
    owner integer, period text, first_day date, last_day date, time_zone text,
    out first_start integer, out last_date integer,
    out starts integer[], out totals integer[], out positives integer[], out negatives integer[]
)
language plpgsql stable as $$
begin
    begin
        last_day := coalesce(last_day, (now() at time zone time_zone)::date);
        first_day := coalesce(first_day, (last_day - 29 * ('1 ' || period)::interval)::date);
        first_start := date_trunc(period, first_day::timestamp)::date - date '1970-01-01';
        last_date := last_day - date '1970-01-01';
        with local_dates as (
            select
                (created_at at time zone 'utc' at time zone time_zone)::date as day,
                sign(positive_count - negative_count) as sentiment
            from thought_diaries
            where user_id = owner
                and created_at >= first_day::timestamp at time zone time_zone at time zone 'utc'
                and created_at < (last_day + 1)::timestamp at time zone time_zone at time zone 'utc'
        ), counted as (
            select
                case period when 'day' then day else date_trunc(period, day::timestamp)::date end as start,
                count(*)::integer as total,
                (count(*) filter (where sentiment > 0))::integer as positive,
                (count(*) filter (where sentiment < 0))::integer as negative
            from local_dates
            group by 1
            order by 1
        )
        select
            array_agg(start - date '1970-01-01'),
            array_agg(total),
            array_agg(positive),
            array_agg(negative)
        into starts, totals, positives, negatives
        from counted;
    exception when invalid_parameter_value then
        first_start := null;
    end;
end $$;
