-- What users see of their sessions.
alter table sessions
    add column last_used_at timestamp not null default (now() at time zone 'utc'),
    add column user_agent varchar(200),
    add column network text;

update sessions set last_used_at = created_at;

comment on column sessions.last_used_at is
    'The login or the latest refresh. Other requests do not update it, because each is a single statement that only reads.';
comment on column sessions.user_agent is
    'The User-Agent header of the login, at most 200 characters. Null if there was none.';

comment on column sessions.network is
    'HMAC-SHA256 of the network that logged in, hex-encoded. Null for sessions from before this column.';

-- Set by operators. A disabled account cannot log in.
alter table users add column disabled_at timestamp;

-- What happened to accounts. The statement of an action writes its row, so that
-- neither exists without the other. Rows hold no content, email or address.
create table audit_log (
    id bigint generated always as identity constraint audit_log_pkey primary key,
    created_at timestamp not null default (now() at time zone 'utc'),
    user_id integer not null,
    session_id uuid,
    action varchar(32) not null constraint audit_log_action_check check (action in (
        'account_created', 'account_deleted', 'account_disabled',
        'logged_in', 'logged_out', 'session_ended', 'all_sessions_ended', 'password_changed'
    ))
);

comment on column audit_log.user_id is 'Not a foreign key: the row outlives the account.';
comment on column audit_log.session_id is 'The session that the action created, ended or came from, if it had one.';

-- For the deletion of old rows.
create index audit_log_created_at_idx on audit_log (created_at);

create function reject_audit_log_change() returns trigger
language plpgsql as $$
begin
    -- Returning the row lets Postgres delete it.
    if tg_op = 'DELETE' and old.created_at < now() at time zone 'utc' - interval '1 year' then
        return old;
    end if;
    raise exception 'audit_log is append-only' using errcode = 'integrity_constraint_violation';
end $$;

create trigger audit_log_is_append_only before update or delete on audit_log
    for each row execute function reject_audit_log_change();
create trigger audit_log_is_not_truncated before truncate on audit_log
    for each statement execute function reject_audit_log_change();

-- Deletes rows older than a year, at most 10,000 to bound the time. Called by the sweep.
create function delete_expired_audit_log() returns bigint
language sql as $$
    with deleted as (
        delete from audit_log where id in (
            select id from audit_log
            where created_at < now() at time zone 'utc' - interval '1 year'
            limit 10000
        )
        returning id
    )
    select count(*) from deleted
$$;

-- Disables an account and ends its sessions. Returns whether there is such an account.
create function account_disable(account_email text) returns boolean
language plpgsql as $$
declare
    owner integer;
begin
    update users set disabled_at = coalesce(disabled_at, now() at time zone 'utc')
    where email = account_email
    returning id into owner;
    if owner is null then
        return false;
    end if;
    delete from sessions where user_id = owner;
    insert into audit_log (user_id, action) values (owner, 'account_disabled');
    return true;
end $$;
