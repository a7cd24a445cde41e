-- The database of the service that Thought Diary replaces, as SQLAlchemy created it, with the rows of two users.
create table users (
    id serial primary key, email varchar(255) not null, password_hash varchar(255) not null,
    created_at timestamp, updated_at timestamp
);
create unique index ix_users_email on users (email);
create table thought_diaries (
    id serial primary key, user_id integer not null references users (id), content text not null,
    analyzed_content text, positive_count integer, negative_count integer,
    created_at timestamp, updated_at timestamp
);

-- The first hash is bcrypt's of `Passw0rd!`. The second is not a hash.
insert into users (id, email, password_hash, created_at, updated_at) values
    (7, 'old@example.com', '$2b$12$abcdefghijklmnopqrstuuVnilgEP4HmrELfhxdikttFyCImGISEe', '2024-05-06 07:08:09.123456', '2024-05-06 07:08:09'),
    (8, 'other@example.com', 'nonsense', null, null);

insert into thought_diaries (id, user_id, content, analyzed_content, positive_count, negative_count, created_at, updated_at) values
    (11, 7, 'A lovely day, & so on.', 'A <span class="positive">lovely</span> day, &amp; so on.', 1, 0, '2024-06-01 10:00:00', '2024-06-01 10:00:00'),
    (12, 7, 'An awful <b>day</b>.', 'An <span class="negative">awful</span> <b>day</b>.', 0, 1, '2024-06-02 10:00:00', null),
    (13, 7, 'Nothing to see here.', '<script>alert(1)</script>', 5, 0, '2024-06-03 10:00:00', '2024-06-03 10:00:00'),
    (14, 7, 'Never analyzed at all.', null, null, null, '2024-06-04 10:00:00', '2024-06-04 10:00:00'),
    (15, 7, 'A sad and awful end.', 'A <span class="negative">sad</span> and <span class="negative">awful</span> end.', 9, 9, '2024-06-05 10:00:00', '2024-06-05 10:00:00'),
    (16, 7, 'Other words than these.', 'Words of the <span class="positive">model</span>.', 1, 0, '2024-06-06 10:00:00', '2024-06-06 10:00:00'),
    (17, 7, 'Nested marks are odd.', '<span class="positive">Nested <span class="negative">marks</span></span> are odd.', 1, 1, '2024-06-07 10:00:00', '2024-06-07 10:00:00'),
    (18, 7, 'An attribute too many.', 'An <span class="positive" onclick="x()">attribute</span> too many.', 1, 0, '2024-06-08 10:00:00', '2024-06-08 10:00:00'),
    (19, 8, 'An entry of another user.', null, null, null, null, null);
