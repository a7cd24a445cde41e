drop trigger users_discard_legacy_password_hash on users;
drop function discard_legacy_password_hash();
drop table replaced_service_retirement;
drop function password_reset(text, text);
drop function account_enable(text);
