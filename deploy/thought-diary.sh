#!/usr/bin/env bash
# Runs Thought Diary in a container and under systemd.
#
#   thought-diary serve                serves on $LISTEN; on Spin if `spin` is installed, otherwise on the embedded host
#   thought-diary migrate up|status|down|finish
#   thought-diary user add|list|disable|reset
#   thought-diary backup|restore       needs Postgres's client programs, which the image does not have
#   thought-diary sweep --url URL      re-analyzes the entries that the model failed on
#   thought-diary health               exits with 0 if the service on $LISTEN answers GET /ready with 200
#
# Settings are environment variables SPIN_VARIABLE_<NAME>, as in .env.example. Secrets can be files instead, each
# with the lower-case name of its variable, in the folder of systemd's credentials or in /run/secrets. Both runtimes
# read these files themselves, so a secret is in no environment and on no command line of the service.
# DATABASE_URL, REDIS_URL and PORT, which hosting platforms set, are used where our own are not set.
set -euo pipefail

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where the program finds migrations/ and spin.toml.
export THOUGHT_DIARY_HOME=$home
secrets=${CREDENTIALS_DIRECTORY:-/run/secrets}
listen=${LISTEN:-0.0.0.0:${PORT:-3000}}

# Prints a secret from its file or from the environment; prints nothing if it is not set.
secret() {
    local variable=SPIN_VARIABLE_${1^^}
    if [[ -s $secrets/$1 ]]; then cat "$secrets/$1"; else printf '%s' "${!variable:-}"; fi
}

# Sets the variable NAME_host to the host and port of the URL in NAME_url, unless it is set.
derive_host() {
    local variable=SPIN_VARIABLE_${1^^}_HOST host
    host=$(secret "$1_url")
    host=${host#*://}
    host=${host%%[/?]*}
    host=${host##*@}
    [[ $host =~ :[0-9]+$ ]] || host=$host:$2
    [[ -n ${!variable:-} ]] || export "$variable=$host"
}

# Sets SPIN_VARIABLE_SENTRY_HOST to scheme and host of the DSN, unless it is set.
derive_sentry_host() {
    local dsn host
    dsn=$(secret sentry_dsn)
    host=${dsn#*://}
    host=${host##*@}
    [[ -z $dsn || -n ${SPIN_VARIABLE_SENTRY_HOST:-} ]] || export SPIN_VARIABLE_SENTRY_HOST="${dsn%%://*}://${host%%/*}"
}

serve() {
    : "${SPIN_VARIABLE_DATABASE_URL=${DATABASE_URL:-}}" "${SPIN_VARIABLE_REDIS_URL=${REDIS_URL:-}}"
    derive_host database 5432
    derive_host redis 6379
    derive_sentry_host
    [[ -z $SPIN_VARIABLE_DATABASE_URL ]] || export SPIN_VARIABLE_DATABASE_URL
    [[ -z $SPIN_VARIABLE_REDIS_URL ]] || export SPIN_VARIABLE_REDIS_URL
    local variables=() name runtime=$home/bin/host
    for name in database_url redis_url jwt_secret_key jwt_previous_secret_key github_token sweep_token sentry_dsn; do
        [[ ! -s $secrets/$name ]] || variables+=(--variable "$name=@$secrets/$name")
    done
    if [[ -x $home/bin/spin ]]; then runtime=$home/bin/spin; fi
    # A thousand clients that connect at the same moment start an instance each.
    export SPIN_MAX_INSTANCE_COUNT=${SPIN_MAX_INSTANCE_COUNT:-4000}
    # Each connection is an open file, and the usual soft limit is 1,024.
    ulimit -Sn "$(ulimit -Hn)"
    # No folder for state: the components' logs go to the console only, because the root file system may be read-only.
    exec "$runtime" up --from "$home/spin.toml" --listen "$listen" --state-dir '' \
        --runtime-config-file "${RUNTIME_CONFIG_FILE:-$home/runtime-config.toml}" "${variables[@]}"
}

# Runs a command of xtask on the database.
on_database() {
    local name=database_url
    # The role that owns the tables, where there is one (deploy/postgres/role.sql).
    [[ ! -s $secrets/migrate_database_url ]] || name=migrate_database_url
    SPIN_VARIABLE_DATABASE_URL=$(secret "$name")
    export SPIN_VARIABLE_DATABASE_URL=${SPIN_VARIABLE_DATABASE_URL:-${DATABASE_URL:-}}
    : "${SPIN_VARIABLE_DATABASE_URL:?is not set: name the database}"
    exec "$home/bin/xtask" "$@"
}

sweep() {
    SPIN_VARIABLE_SWEEP_TOKEN=$(secret sweep_token)
    export SPIN_VARIABLE_SWEEP_TOKEN
    exec "$home/bin/xtask" sweep "$@"
}

# Uses bash's own TCP client: the image has no curl.
health() {
    local host=${listen%:*} status=
    case $host in 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
    exec 3<>"/dev/tcp/$host/${listen##*:}"
    printf 'GET /ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$listen" >&3
    read -r -t 6 _ status _ <&3
    echo "/ready: $status"
    [[ $status == 200 ]]
}

case ${1:-serve} in
    serve) serve ;;
    migrate | user | backup | restore) on_database "$@" ;;
    sweep | health) "$@" ;;
    *) echo "usage: thought-diary serve|migrate|user|backup|restore|sweep|health" >&2 && exit 2 ;;
esac
