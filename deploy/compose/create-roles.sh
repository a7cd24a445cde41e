#!/usr/bin/env bash
# Runs once, when the database is created: makes the roles and gives them their passwords.
set -euo pipefail
psql="psql --username=$POSTGRES_USER --dbname=$POSTGRES_DB --set=ON_ERROR_STOP=1 --quiet"
$psql --file=/role.sql
$psql --set=owner="$(cat /run/secrets/owner_password)" --set=service="$(cat /run/secrets/service_password)" <<'SQL'
alter role thought_diary_owner password :'owner';
alter role thought_diary password :'service';
SQL
