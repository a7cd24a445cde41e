-- What operators do with accounts, and the end of the replaced service.

-- Lets a disabled account log in again. Returns whether there is such an account.
create function account_enable(account_email text) returns boolean
language plpgsql as $$
declare
    owner integer;
begin
    update users set disabled_at = null where email = account_email returning id into owner;
    if owner is null then
        return false;
    end if;
    insert into audit_log (user_id, action) values (owner, 'account_enabled');
    return true;
end $$;

-- Replaces the password of an account and ends its sessions. Returns whether
-- there is such an account. A login with the former password that is running at
-- that moment waits for the row of users, and then fails.
create function password_reset(account_email text, new_hash text) returns boolean
language plpgsql as $$
declare
    owner integer;
begin
    update users set
        password_hash = new_hash,
        legacy_password_hash = null,
        updated_at = now() at time zone 'utc'
    where email = account_email
    returning id into owner;
    if owner is null then
        return false;
    end if;
    delete from sessions where user_id = owner;
    insert into audit_log (user_id, action) values (owner, 'password_reset');
    return true;
end $$;

-- Has a row once `cargo xtask migrate finish` has run.
create table replaced_service_retirement (
    retired_at timestamp not null default (now() at time zone 'utc')
);

comment on table replaced_service_retirement is
    'The replaced service will not run on this database again, so its bcrypt hashes are not kept.';

-- A login replaces a bcrypt hash, and keeps it for the replaced service unless that has retired.
create function discard_legacy_password_hash() returns trigger
language plpgsql as $$
begin
    if exists (select from replaced_service_retirement) then
        new.legacy_password_hash := null;
    end if;
    return new;
end $$;

create trigger users_discard_legacy_password_hash before update of legacy_password_hash on users
    for each row when (new.legacy_password_hash is not null)
    execute function discard_legacy_password_hash();
