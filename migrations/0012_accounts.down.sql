drop function account_disable(text);
drop function delete_expired_audit_log();
drop table audit_log;
drop function reject_audit_log_change();
alter table users drop column disabled_at;
alter table sessions
    drop column last_used_at,
    drop column user_agent,
    drop column network;
