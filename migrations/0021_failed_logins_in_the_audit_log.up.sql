-- Wrong passwords for an account are in its audit log, as far as they count for its
-- delay: that bounds the rows to some twelve in 15 minutes. Those for emails without
-- an account are not logged, because anyone could fill the log with them.
--
-- The new action extends the former list, so the rows that exist need no check.
alter table audit_log
    drop constraint audit_log_action_check,
    add constraint audit_log_action_check check (action in (
        'account_created', 'account_deleted', 'account_disabled', 'account_enabled',
        'logged_in', 'login_failed', 'logged_out', 'session_ended', 'all_sessions_ended',
        'password_changed', 'password_reset'
    )) not valid;

-- Counts a wrong password, and logs it if there is an account. Otherwise as before.
create or replace function failed_login_record(account text, owner integer, network text) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    current_time_utc timestamp := now() at time zone 'utc';
begin
    delete from failed_logins failed where failed.account = account and failed.window_ends_at <= current_time_utc;
    -- Others' rows, instead of a sweep. Those that another request is deleting are skipped.
    delete from failed_logins failed where failed.account in (
        select expired.account from failed_logins expired
        where expired.window_ends_at <= current_time_utc
        limit 10 for update skip locked
    );
    if network_is_known(owner, network) then
        return;
    end if;
    insert into failed_logins as failed (account, failures, window_ends_at, delayed_until)
    values (account, 1, current_time_utc + interval '15 minutes', current_time_utc)
    on conflict on constraint failed_logins_pkey do update set
        failures = failed.failures + 1,
        delayed_until = case
            when failed.failures < 4 then failed.delayed_until
            else least(
                failed.window_ends_at,
                current_time_utc + interval '5 seconds' * 2 ^ least(failed.failures - 4, 8)
            )
        end
    where failed.delayed_until <= current_time_utc;
    if found and owner is not null then
        insert into audit_log (user_id, action) values (owner, 'login_failed');
    end if;
end $$;
