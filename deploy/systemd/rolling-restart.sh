#!/usr/bin/env bash
# Restarts the instances one after the other without losing a request: /usr/local/sbin/thought-diary-restart.
# Each is taken out of the proxy first, because Spin gives up its requests at SIGTERM.
set -euo pipefail

ports=(3000 3001)
# Longer than any request may take: the service answers within 30 s.
drain=${DRAIN_SECONDS:-35}
flags=/run/thought-diary-drain

# Makes the proxy send no new requests to a port, or to all ports again if none is given: nginx and Caddy look for this
# file at each request. Reloading a proxy would close clients' idle connections, which fails requests sent at that moment.
leave_out() {
    rm -rf "$flags"
    if [[ $# == 1 ]]; then install -D -m 644 /dev/null "$flags/$1"; fi
}
trap leave_out EXIT

for port in "${ports[@]}"; do
    echo "thought-diary@$port: taken out of the proxy; restarts in $drain s"
    leave_out "$port"
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
echo "All instances were restarted."
