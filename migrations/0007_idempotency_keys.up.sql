-- The Idempotency-Key headers of POST /diaries. A retried request finds the
-- entry that the first one created. The sweep deletes keys after 24 hours.
create table idempotency_keys (
    user_id integer not null constraint idempotency_keys_user_id_fkey references users (id) on delete cascade,
    key text not null,
    request_digest text not null,
    diary_id integer not null,
    created_at timestamp not null default (now() at time zone 'utc'),
    constraint idempotency_keys_pkey primary key (user_id, key)
);

comment on column idempotency_keys.request_digest is
    'HMAC-SHA256 of the text, hex-encoded, to detect a key that is reused for another text.';
comment on column idempotency_keys.diary_id is
    'Not a foreign key: a retry must not create an entry again that was deleted in the meantime.';

-- For the sweep.
create index idempotency_keys_created_at_idx on idempotency_keys (created_at);
