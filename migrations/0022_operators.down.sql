drop trigger users_discard_legacy_password_hash on users;
drop function discard_legacy_password_hash();
drop table replaced_service_retirement;
drop function password_reset(text, text);
drop function account_enable(text);
-- Rows with the newer actions stay, because the log is append-only.
alter table audit_log
    drop constraint audit_log_action_check,
    add constraint audit_log_action_check check (action in (
        'account_created', 'account_deleted', 'account_disabled',
        'logged_in', 'logged_out', 'session_ended', 'all_sessions_ended', 'password_changed'
    )) not valid;
