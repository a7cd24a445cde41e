#!/usr/bin/env bash
# Writes one backup of the database into a folder, verifies it, and deletes the oldest ones.
#
#   backup.sh URL_FILE FOLDER [KEEP]
#
# URL_FILE holds the URL of the role that owns the tables. KEEP is the number of backups to keep, 14 by default.
# Copy the folder to another machine: a backup beside the database is lost with it.
# Restore: pg_restore --clean --if-exists --no-owner --dbname=URL FILE
set -euo pipefail
umask 077

folder=$2
keep=${3:-14}
url=$(<"$1")

# The parts of the URL go to the environment: a URL with its password on the command line is visible to every user.
[[ $url =~ ^postgres(ql)?://([^:@/]+)(:([^@/]*))?@([^:/?]+)(:([0-9]+))?/([^?]+) ]] ||
    { echo "$1 must hold postgres://user:password@host:port/database" >&2 && exit 1; }
decode() { printf '%b' "${1//%/\\x}"; }
export PGUSER PGPASSWORD PGHOST=${BASH_REMATCH[5]} PGPORT=${BASH_REMATCH[7]:-5432} PGDATABASE=${BASH_REMATCH[8]}
user=${BASH_REMATCH[2]} password=${BASH_REMATCH[4]}
PGUSER=$(decode "$user")
PGPASSWORD=$(decode "$password")
if [[ $url =~ [?\&]sslmode=([a-z-]+) ]]; then export PGSSLMODE=${BASH_REMATCH[1]}; fi

file=$folder/$PGDATABASE-$(date --utc +%Y%m%dT%H%M%SZ).dump
pg_dump --format=custom --lock-wait-timeout=60s --file="$file.part"
# Reads the table of contents: a file that was cut short fails here.
pg_restore --list "$file.part" >/dev/null
mv "$file.part" "$file"
echo "wrote $file ($(stat --format=%s "$file") bytes)"

mapfile -t backups < <(find "$folder" -maxdepth 1 -name "$PGDATABASE-*.dump" | sort --reverse)
for old in "${backups[@]:keep}"; do rm -- "$old"; done
