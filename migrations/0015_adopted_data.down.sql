-- The data stays, because it is as valid for the steps before.
alter table users drop constraint users_email_check;
