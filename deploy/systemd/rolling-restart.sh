#!/usr/bin/env bash
# Restarts the instances one after the other without losing a request: /usr/local/sbin/thought-diary-restart.
# Each is taken out of the proxy first, because Spin gives up its requests at SIGTERM.
set -euo pipefail

ports=(3000 3001)
# Longer than any request may take: the service answers within 30 s.
drain=${DRAIN_SECONDS:-35}

# Makes the proxy send requests to the given ports only. Requests in progress are finished.
route_to() {
    if [[ -e /etc/nginx/thought-diary-upstreams.conf ]]; then
        printf 'server 127.0.0.1:%s max_fails=0;\n' "$@" >/etc/nginx/thought-diary-upstreams.conf
        systemctl reload nginx
    fi
    if [[ -e /etc/caddy/thought-diary.env ]]; then
        sed -i "s/^UPSTREAMS=.*/UPSTREAMS=$(printf '127.0.0.1:%s ' "$@")/" /etc/caddy/thought-diary.env
        systemctl reload caddy
    fi
}

for port in "${ports[@]}"; do
    others=()
    for other in "${ports[@]}"; do [[ $other == "$port" ]] || others+=("$other"); done
    echo "thought-diary@$port: taken out of the proxy; restarts in $drain s"
    route_to "${others[@]}"
    sleep "$drain"
    systemctl restart "thought-diary@$port"
    for _ in {1..60}; do
        ready=no
        if LISTEN=127.0.0.1:$port /opt/thought-diary/bin/thought-diary health 2>/dev/null; then ready=yes && break; fi
        sleep 1
    done
    if [[ $ready == no ]]; then
        echo "thought-diary@$port is not ready: see journalctl -u thought-diary@$port. The other instances serve on." >&2
        exit 1
    fi
done
route_to "${ports[@]}"
echo "All instances were restarted."
