#!/bin/sh
# HAProxy's check of a Postgres: succeeds if it accepts connections and is no replica. HAProxy passes the address and
# port of the server as the third and fourth argument. /etc/haproxy/pgpass holds "*:*:postgres:health:PASSWORD" for a
# role without any rights (create role health login).
export PGCONNECT_TIMEOUT=1 PGPASSFILE=/etc/haproxy/pgpass PGUSER=health PGDATABASE=postgres
answer=$(psql --no-psqlrc --no-password --tuples-only --no-align --host="$3" --port="$4" --command='select pg_is_in_recovery()')
[ "$answer" = f ]
