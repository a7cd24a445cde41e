-- A login. Both of its tokens carry its id; deleting the row ends them at once.
create table sessions (
    id uuid primary key default gen_random_uuid(),
    user_id integer not null constraint sessions_user_id_fkey references users (id) on delete cascade,
    created_at timestamp not null default (now() at time zone 'utc'),
    expires_at timestamptz not null
);

comment on column sessions.expires_at is 'When its refresh token expires. The next login of the user removes the row.';

-- For that removal, and for the cascade from users.
create index sessions_user_id_idx on sessions (user_id);
