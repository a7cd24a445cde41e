#!/usr/bin/env bash
# Installs Thought Diary on one Debian or Ubuntu server, or upgrades it. Run it as root from the unpacked release:
#
#   deploy/systemd/install.sh DOMAIN [caddy|nginx|none]
#   deploy/systemd/install.sh --uninstall
#
# It can be run again: secrets, settings and data that exist are kept. It installs from Debian: Postgres, Redis, ufw,
# and the proxy. It writes /opt/thought-diary*, /etc/thought-diary, units in /etc/systemd/system, and the files named below.
set -euo pipefail
[[ $EUID == 0 ]] || { echo "run this as root" >&2 && exit 1; }
here=$(cd "$(dirname "$0")/../.." && pwd -P)
units=(thought-diary@3000.service thought-diary@3001.service thought-diary-sweep.timer thought-diary-backup.timer)
etc=/etc/thought-diary

if [[ ${1:-} == --uninstall ]]; then
    systemctl disable --now "${units[@]}" || true
    rm -rf /opt/thought-diary /opt/thought-diary-* /var/cache/{,private/}thought-diary /usr/local/sbin/thought-diary-restart
    rm -f /etc/systemd/system/thought-diary* /etc/systemd/journald.conf.d/thought-diary.conf
    rm -rf /etc/nginx/sites-{enabled,available}/thought-diary \
        /etc/caddy/thought-diary{.env,-drain} /etc/systemd/system/caddy.service.d/thought-diary.conf
    systemctl daemon-reload
    echo "Kept: the database, /var/lib/private/thought-diary-backup, $etc (secrets), the packages, Redis's settings, ufw's rules."
    exit 0
fi
domain=${1:?usage: install.sh DOMAIN [caddy|nginx|none]}
proxy=${2:-caddy}

echo "1. Packages"
packages=(postgresql redis-server ufw openssl ca-certificates)
case $proxy in
    caddy) packages+=(caddy) ;;
    nginx) packages+=(nginx certbot) ;;
esac
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -q "${packages[@]}"

echo "2. Program: one folder per version; /opt/thought-diary will be a link to the one that runs"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/spin.toml")
if [[ $here != /opt/thought-diary-$version ]]; then
    rm -rf "/opt/thought-diary-$version"
    cp -R --no-preserve=ownership "$here" "/opt/thought-diary-$version"
fi
ln -sfn "/opt/thought-diary-$version" /opt/thought-diary-migrate
install -m 755 "$here/deploy/systemd/rolling-restart.sh" /usr/local/sbin/thought-diary-restart

echo "3. Secrets and settings, in $etc"
install -d -m 700 "$etc" "$etc/credentials"
cd "$etc/credentials"
umask 077
random() { openssl rand -hex 32 | tr -d '\n'; }
keep() { if [[ -e $1 ]]; then cat >/dev/null; else cat >"$1"; fi; }
for name in owner_password service_password redis_password jwt_secret_key sweep_token; do random | keep "$name"; done
for name in github_token jwt_previous_secret_key sentry_dsn; do printf '' | keep "$name"; done
# On this machine without TLS: Debian's Postgres has a self-signed certificate, which Spin refuses.
printf 'postgres://thought_diary:%s@127.0.0.1:5432/thought_diary?connect_timeout=2&sslmode=disable' "$(<service_password)" | keep database_url
printf 'postgres://thought_diary_owner:%s@127.0.0.1:5432/thought_diary?sslmode=disable' "$(<owner_password)" | keep migrate_database_url
printf 'redis://:%s@127.0.0.1:6379/0' "$(<redis_password)" | keep redis_url
# One core is left to other requests.
slots=$(($(nproc) > 2 ? $(nproc) - 1 : 1))
keep ../settings.env <<EOF
# Settings that are not secret; .env.example in the repository explains each. Then run: thought-diary-restart
SPIN_VARIABLE_DATABASE_HOST=127.0.0.1:5432
SPIN_VARIABLE_REDIS_HOST=127.0.0.1:6379
SPIN_VARIABLE_TRUSTED_PROXY_HOPS=1
SPIN_VARIABLE_CORS_ORIGINS=https://$domain
SPIN_VARIABLE_PASSWORD_HASH_SLOTS=$slots
EOF
cd /

echo "4. Postgres: a database, and two roles with the least rights"
as_postgres() { runuser -u postgres -- "$@"; }
as_postgres psql -Atc "select 1 from pg_database where datname = 'thought_diary'" | grep -q 1 || as_postgres createdb thought_diary
as_postgres psql -q -v ON_ERROR_STOP=1 thought_diary <"$here/deploy/postgres/role.sql"
as_postgres psql -q -v ON_ERROR_STOP=1 thought_diary <<EOF
alter role thought_diary_owner password '$(<$etc/credentials/owner_password)';
alter role thought_diary password '$(<$etc/credentials/service_password)';
EOF

echo "5. Redis: a password, a limit on memory, and no eviction (it would let others push out the login limits)"
cat >/etc/redis/thought-diary.conf <<EOF
requirepass $(<$etc/credentials/redis_password)
maxmemory 256mb
maxmemory-policy noeviction
EOF
chown redis:redis /etc/redis/thought-diary.conf
grep -q thought-diary.conf /etc/redis/redis.conf || echo "include /etc/redis/thought-diary.conf" >>/etc/redis/redis.conf
systemctl restart redis-server

echo "6. Units, migrations, start"
umask 022
cp "$here"/deploy/systemd/thought-diary*.{service,timer} /etc/systemd/system/
install -D -m 644 "$here/deploy/systemd/journald.conf" /etc/systemd/journald.conf.d/thought-diary.conf
systemctl daemon-reload
systemctl restart systemd-journald
systemctl start thought-diary-migrate
# Not before: an instance that restarts in the meantime must be of the version that fits the schema.
ln -sfn "/opt/thought-diary-$version" /opt/thought-diary
if systemctl is-active -q thought-diary@3000; then /usr/local/sbin/thought-diary-restart; fi
systemctl enable -q --now "${units[@]}"

echo "7. Proxy with TLS: $proxy"
case $proxy in
    caddy)
        install --backup -m 644 "$here/deploy/proxy/Caddyfile" /etc/caddy/Caddyfile
        printf 'DOMAIN=%s\nUPSTREAMS=127.0.0.1:3000 127.0.0.1:3001\n%s\n' "$domain" "${ACME_CA:+ACME_CA=$ACME_CA}" >/etc/caddy/thought-diary.env
        install -m 644 "$here/deploy/proxy/drain.caddy" /etc/caddy/thought-diary-drain
        install -d /etc/systemd/system/caddy.service.d
        printf '[Service]\nEnvironmentFile=/etc/caddy/thought-diary.env\n' >/etc/systemd/system/caddy.service.d/thought-diary.conf
        systemctl daemon-reload
        systemctl enable -q caddy
        systemctl restart caddy
        ;;
    nginx)
        systemctl enable -q --now nginx
        # The default site of the package answers the challenge of the first certificate, ours those of its renewals.
        # CERTBOT_OPTIONS holds an email address, or another certificate authority.
        # shellcheck disable=SC2086
        certbot certonly --non-interactive --agree-tos --webroot --webroot-path /var/www/html --domain "$domain" \
            --keep-until-expiring --deploy-hook 'systemctl reload nginx' ${CERTBOT_OPTIONS:---register-unsafely-without-email}
        sed "s/DOMAIN/$domain/g" "$here/deploy/proxy/nginx.conf" >/etc/nginx/sites-available/thought-diary
        ln -sf ../sites-available/thought-diary /etc/nginx/sites-enabled/thought-diary
        nginx -t && systemctl reload nginx
        ;;
esac

echo "8. Firewall: SSH, HTTP and HTTPS only"
for rule in 22/tcp 80/tcp 443/tcp; do ufw allow "$rule"; done
ufw --force enable

echo "9. Check"
export LISTEN=127.0.0.1:3000
for _ in {1..60}; do
    if /opt/thought-diary/bin/thought-diary health >/dev/null 2>&1; then break; fi
    sleep 1
done
/opt/thought-diary/bin/thought-diary health
echo "Thought Diary $version serves https://$domain. Logs: journalctl -u 'thought-diary@*'. Checks: docs/operations.md."
