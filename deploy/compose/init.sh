#!/usr/bin/env bash
# Makes the secrets of a Compose deployment in deploy/compose/secrets. Secrets that exist are kept.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets
# Others cannot enter the folder. The files are readable, because each container reads its own as another user.
chmod 700 secrets
cd secrets

# Writes the standard input to a file, unless the file exists.
keep() { if [[ -e $1 ]]; then cat >/dev/null; else (umask 022 && cat >"$1"); fi; }
random() { openssl rand -hex 32 | tr -d '\n'; }

for name in postgres_password owner_password service_password redis_password jwt_secret_key sweep_token; do
    random | keep "$name"
done
# The key of the model's server. Empty: the lexicon analyzes the entries.
printf '' | keep github_token
# Is set only while jwt_secret_key is replaced.
printf '' | keep jwt_previous_secret_key
# Where errors are reported. Empty: nowhere.
printf '' | keep sentry_dsn
printf 'requirepass %s\n' "$(<redis_password)" | keep redis.conf
printf 'redis://:%s@redis:6379/0' "$(<redis_password)" | keep redis_url
printf 'postgres://thought_diary:%s@postgres:5432/thought_diary?connect_timeout=2' "$(<service_password)" | keep database_url
printf 'postgres://thought_diary_owner:%s@postgres:5432/thought_diary' "$(<owner_password)" | keep migrate_database_url
echo "The secrets are in $PWD. Back them up apart from the database."
