drop index audit_log_user_id_id_idx;
drop function account_export(uuid, integer, text, text);
