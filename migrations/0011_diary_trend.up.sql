-- The numbers of a user's entries per day, week or month as a JSON array, oldest
-- period first. Periods begin at midnight in the time zone; those without
-- entries are included. Null if the time zone is unknown. A null last_day is today;
-- a null first_day gives 30 periods.
create function diary_trend(
    owner integer, period text, first_day date, last_day date, time_zone text
) returns text
language plpgsql stable as $$
begin
    begin
        perform now() at time zone time_zone;
    exception when invalid_parameter_value then
        return null;
    end;
    last_day := coalesce(last_day, (now() at time zone time_zone)::date);
    first_day := coalesce(first_day, (last_day - 29 * ('1 ' || period)::interval)::date);
    return (
        with counted as (
            select
                date_trunc(period, created_at at time zone 'utc' at time zone time_zone)::date as start,
                count(*) as total,
                count(*) filter (where positive_count > negative_count) as positive,
                count(*) filter (where positive_count < negative_count) as negative
            from thought_diaries
            where user_id = owner
                and created_at >= first_day::timestamp at time zone time_zone at time zone 'utc'
                and created_at < (last_day + 1)::timestamp at time zone time_zone at time zone 'utc'
            group by 1
        )
        select concat('[', string_agg(concat(
            '{"start":"', periods.start::date,
            '","total_entries":', coalesce(total, 0),
            ',"positive_entries":', coalesce(positive, 0),
            ',"negative_entries":', coalesce(negative, 0),
            ',"neutral_entries":', coalesce(total - positive - negative, 0), '}'
        ), ',' order by periods.start), ']')
        from generate_series(
            date_trunc(period, first_day::timestamp), last_day::timestamp, ('1 ' || period)::interval
        ) periods (start)
        left join counted on counted.start = periods.start::date
    );
end $$;
