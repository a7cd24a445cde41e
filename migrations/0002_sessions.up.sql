-- A session is created by a login. Both of its tokens carry its id, so deleting the row revokes them.
create table sessions (
    id uuid primary key default gen_random_uuid(),
    user_id integer not null constraint sessions_user_id_fkey references users (id) on delete cascade,
    created_at timestamp not null default (now() at time zone 'utc'),
    expires_at timestamptz not null
);

comment on column sessions.expires_at is
    'When the refresh token expires. The user''s next login deletes expired sessions.';

-- For that deletion, and for the cascade from users.
create index sessions_user_id_idx on sessions (user_id);

-- The condition that every protected statement checks. PL/pgSQL keeps the plan
-- of its query for the life of a connection.
create function session_is_active(session_id uuid, owner integer) returns boolean
language plpgsql stable as $$
begin
    return exists (
        select from sessions
        where sessions.id = session_id and sessions.user_id = owner and sessions.expires_at > now()
    );
end $$;
