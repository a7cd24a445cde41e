-- The words of a text as search terms, one per word stem: lower-case, without
-- accents, in English ('walking' and 'walked' both give 'walk'). Each term starts
-- with the user's id, so that the index finds one user's entries directly, however
-- many other users have written the same word.
create function search_terms(owner integer, plain text) returns text[]
language sql immutable parallel safe as $$
    select array(
        select concat(owner, ':', lexeme)
        from unnest(to_tsvector(
            'pg_catalog.english',
            -- Decomposes letters with accents, then removes the accents.
            regexp_replace(normalize(plain, nfd), '[\u0300-\u036f]', '', 'g')
        ))
    )
$$;

-- Without a list of pending insertions: adding it to the index takes some request hundreds of milliseconds.
create index thought_diaries_search_idx on thought_diaries
    using gin (search_terms(user_id, content)) with (fastupdate = off);
