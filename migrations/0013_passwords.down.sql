drop function account_delete(uuid, integer, text, text);
drop function password_change(uuid, integer, text, text, text);
drop function session_create(integer, text, text, text, text, text, float8);
drop function failed_login_record(text, integer, text);
drop function login_is_delayed(text, integer, text);
drop function network_is_known(integer, text);
drop table failed_logins;
drop function any_bcrypt_hash();
drop index users_bcrypt_idx;
-- Lets the replaced service verify its users' passwords again.
update users set password_hash = legacy_password_hash where legacy_password_hash is not null;
alter table users drop column legacy_password_hash;
