create table adopted_ids (
    table_name text constraint adopted_ids_pkey primary key,
    last_id bigint not null
);
