#!/usr/bin/env bash
# Writes one backup of the database into a folder, verifies it, and deletes the oldest ones.
#
#   backup.sh URL_FILE FOLDER [KEEP]
#
# URL_FILE holds the URL of the role that owns the tables. KEEP is the number of backups to keep, 14 by default.
# Beside each NAME.dump, NAME.contents has the numbers of rows and the totals of the same moment.
# docs/backup.md has copies on another machine, encryption, and the restoration.
set -euo pipefail
umask 077

folder=$2
keep=${3:-14}
url=$(<"$1")
contents=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/postgres/contents.sql

# The parts of the URL go to the environment: a URL with its password on the command line is visible to every user.
[[ $url =~ ^postgres(ql)?://([^:@/]+)(:([^@/]*))?@([^:/?]+)(:([0-9]+))?/([^?]+) ]] ||
    { echo "$1 must hold postgres://user:password@host:port/database" >&2 && exit 1; }
decode() { printf '%b' "${1//%/\\x}"; }
export PGUSER PGPASSWORD PGHOST=${BASH_REMATCH[5]} PGPORT=${BASH_REMATCH[7]:-5432} PGDATABASE=${BASH_REMATCH[8]}
user=${BASH_REMATCH[2]} password=${BASH_REMATCH[4]}
PGUSER=$(decode "$user")
PGPASSWORD=$(decode "$password")
if [[ $url =~ [?\&]sslmode=([a-z-]+) ]]; then export PGSSLMODE=${BASH_REMATCH[1]}; fi
# The system's certificate authorities, as the service uses them.
if [[ ${PGSSLMODE:-} == verify-* ]]; then export PGSSLROOTCERT=${PGSSLROOTCERT:-system}; fi

name=$folder/$PGDATABASE-$(date --utc +%Y%m%dT%H%M%SZ)
trap 'rm -f "$name".*.part' EXIT

# A transaction that stays open during the dump, so that the dump and the contents are of the same moment.
coproc psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1
input=${COPROC[1]} output=${COPROC[0]} line=
echo "begin isolation level repeatable read read only; set local statement_timeout = 0; select pg_export_snapshot();" >&"$input"
read -r snapshot <&"$output" || { echo "the database cannot be read: see above" >&2 && exit 1; }
{ cat "$contents" && printf '%s\n' '\echo complete'; } >&"$input"
while read -r line <&"$output" && [[ $line != complete ]]; do echo "$line"; done >"$name.contents.part"
[[ $line == complete ]] || { echo "the contents of the database cannot be counted: see above" >&2 && exit 1; }

pg_dump --format=custom --lock-wait-timeout=60s --snapshot="$snapshot" --file="$name.dump.part"
echo 'commit;' >&"$input"
# Reads the table of contents: a file that was cut short fails here.
pg_restore --list "$name.dump.part" >/dev/null
mv "$name.contents.part" "$name.contents"
mv "$name.dump.part" "$name.dump"
echo "wrote $name.dump ($(stat --format=%s "$name.dump") bytes)"

mapfile -t backups < <(find "$folder" -maxdepth 1 -name "$PGDATABASE-*.dump" | sort --reverse)
for old in "${backups[@]:keep}"; do rm -f -- "$old" "${old%.dump}.contents"; done
