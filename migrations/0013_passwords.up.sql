-- The bcrypt hashes of the replaced service, kept after an argon2id hash has
-- taken their place: until they are deleted, going down restores them.
alter table users
    add column legacy_password_hash text,
    -- An adopted column may be too narrow for an argon2id hash of 97 characters.
    alter column password_hash type varchar(255);

comment on column users.legacy_password_hash is
    'The bcrypt hash of the same password. Null if there was none, or if the password was changed.';

-- Finds an account whose password is still hashed with bcrypt.
create index users_bcrypt_idx on users (id) where password_hash like '$2%';

-- Returns the bcrypt hash of some account, or null if there is none. A failed
-- login verifies against it, so that it takes the same time for every email.
create function any_bcrypt_hash() returns text
language sql stable as $$
    select password_hash from users where password_hash like '$2%' order by id limit 1
$$;

-- Wrong passwords per account. Accounts that do not exist are counted as well,
-- so that neither an answer nor its time shows which ones exist.
create table failed_logins (
    account text constraint failed_logins_pkey primary key,
    failures integer not null,
    window_ends_at timestamp not null,
    delayed_until timestamp not null
);

comment on column failed_logins.account is
    'HMAC-SHA256 of the email, or of the user''s id for confirmations of the password, hex-encoded.';
comment on column failed_logins.window_ends_at is
    '15 minutes after the first failure. Then the count starts anew, which bounds every delay.';
comment on column failed_logins.delayed_until is 'Until then, a right password is answered like a wrong one.';

-- For the deletion of old rows.
create index failed_logins_window_ends_at_idx on failed_logins (window_ends_at);

-- Returns whether the user has an active session from a network. Guesses from
-- elsewhere then do not delay a login from there.
create function network_is_known(owner integer, network text) returns boolean
language sql stable as $$
    select exists (
        select from sessions session
        where session.user_id = owner and session.network = network_is_known.network
            and session.expires_at > now()
    )
$$;

-- Returns whether a right password is answered like a wrong one at the moment.
create function login_is_delayed(account text, owner integer, network text) returns boolean
language sql stable as $$
    select exists (
        select from failed_logins failed
        where failed.account = login_is_delayed.account
            and failed.delayed_until > now() at time zone 'utc'
    ) and not network_is_known(owner, network)
$$;

-- Counts a wrong password. From the fifth one in 15 minutes on, each delays the
-- account: for 5 seconds, then twice as long each time, and never beyond the end
-- of the 15 minutes. Attempts during a delay do not count, so that they cannot
-- prolong it.
create function failed_login_record(account text, owner integer, network text) returns void
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
end $$;

-- The functions below are PL/pgSQL because each of their statements sees what
-- others have committed before it. The row of users is their lock: they take it
-- first, so that a login and a change of the password cannot interleave.

-- Creates a session for a verified password. Returns null if the account's hash
-- is not the verified one any more (the password was changed in the meantime),
-- or if the account is delayed, disabled or deleted. Also deletes the user's
-- expired sessions. The count of wrong passwords stays: a user who logs in must
-- not give an attacker more guesses.
--
-- new_hash replaces the verified hash; null keeps it.
create function session_create(
    owner integer, account text, network text, user_agent text,
    verified_hash text, new_hash text, ttl_seconds float8
) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    session_id uuid;
begin
    -- The stronger of the two locks at once: two logins that both upgraded a weaker one would deadlock.
    perform from users
    where id = owner and password_hash = verified_hash and disabled_at is null
    for no key update;
    if not found or login_is_delayed(account, owner, network) then
        return null;
    end if;
    if new_hash is not null then
        update users set
            password_hash = new_hash,
            legacy_password_hash = case
                when verified_hash like '$2%' then verified_hash
                else legacy_password_hash
            end
        where id = owner;
    end if;
    delete from sessions where user_id = owner and expires_at <= now();
    insert into sessions as session (user_id, expires_at, user_agent, network)
    values (owner, now() + make_interval(secs => ttl_seconds), user_agent, network)
    returning session.id into session_id;
    insert into audit_log (user_id, session_id, action) values (owner, session_id, 'logged_in');
    return session_id;
end $$;

-- The functions that follow return 'ok', 'revoked' (the session is not active)
-- or 'wrong_password' (the account is delayed, or its hash is not the verified
-- one any more).

-- Replaces the password and ends the user's other sessions.
create function password_change(
    session_id uuid, owner integer, account text, verified_hash text, new_hash text
) returns text
language plpgsql as $$
#variable_conflict use_variable
begin
    perform from users where id = owner for no key update;
    if not session_is_active(session_id, owner) then
        return 'revoked';
    end if;
    if login_is_delayed(account, null, null) then
        return 'wrong_password';
    end if;
    update users set
        password_hash = new_hash,
        legacy_password_hash = null,
        updated_at = now() at time zone 'utc'
    where id = owner and password_hash = verified_hash;
    if not found then
        return 'wrong_password';
    end if;
    delete from sessions session where session.user_id = owner and session.id <> session_id;
    insert into audit_log (user_id, session_id, action) values (owner, session_id, 'password_changed');
    return 'ok';
end $$;

-- Deletes the account. Foreign keys delete everything that belongs to it.
create function account_delete(
    session_id uuid, owner integer, account text, verified_hash text
) returns text
language plpgsql as $$
#variable_conflict use_variable
begin
    perform from users where id = owner for update;
    if not session_is_active(session_id, owner) then
        return 'revoked';
    end if;
    if login_is_delayed(account, null, null) then
        return 'wrong_password';
    end if;
    delete from users where id = owner and password_hash = verified_hash;
    if not found then
        return 'wrong_password';
    end if;
    insert into audit_log (user_id, session_id, action) values (owner, session_id, 'account_deleted');
    return 'ok';
end $$;
