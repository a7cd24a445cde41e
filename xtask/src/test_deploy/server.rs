//! A release installed on a server: a real systemd of Debian 13 in a container, and a real ACME server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::cargo;
use testbed::progress::{Progress, Step};
use testbed::runtime::Kind;
use tokio::task::spawn_blocking;

use super::container::Server;
use super::files::ensure_sandboxed;
use super::report::{Summary, output, output_of};

/// What the installation needs, so that it needs no network, and the ACME server Pebble.
const PACKAGES: &str = "ca-certificates,caddy,certbot,curl,dbus,iproute2,nginx,openssl,pebble,postgresql,procps,redis-server,systemd,systemd-sysv,ufw";
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Starts Pebble, which validates domains by HTTP as a public certificate authority does. The machine trusts its API;
/// /root/acme.pem is the root of the certificates that it issues, a new one at each start.
const START_PEBBLE: &str = r#"
    grep -q diary.test /etc/hosts || echo '127.0.0.1 diary.test' >> /etc/hosts
    mkdir -p /root/pebble && cd /root/pebble
    if [ ! -e key.pem ]; then
        openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=pebble -addext subjectAltName=DNS:localhost             -keyout key.pem -out /usr/local/share/ca-certificates/pebble.crt 2> /dev/null
        update-ca-certificates > /dev/null 2>&1
    fi
    cat > config.json <<'JSON'
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
  "certificate": "/usr/local/share/ca-certificates/pebble.crt", "privateKey": "/root/pebble/key.pem",
  "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false}}
JSON
    systemd-run --quiet --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 pebble -config /root/pebble/config.json
    curl -s --retry 20 --retry-delay 1 --retry-all-errors https://localhost:15000/roots/0 > /root/acme.pem
    openssl x509 -in /root/acme.pem -noout
"#;

/// Registers and logs in once, and defines `post`, which prints the status of storing an entry.
const CLIENT: &str = r#"
    api=https://diary.test json='content-type: application/json'
    curl() { command curl --silent --cacert /root/acme.pem "$@"; }
    account='{"email":"server@example.com","password":"Passw0rd!"}'
    if [ ! -s /root/token ]; then
        curl -o /dev/null "$api/auth/register" -H "$json" -d "$account"
        curl "$api/auth/login" -H "$json" -d "$account" | sed 's/.*"access_token":"\([^"]*\)".*/\1/' > /root/token
    fi
    token=$(cat /root/token)
    post() { curl -o /dev/null -w '%{http_code}\n' "$api/diaries" -H "$json" -H "authorization: Bearer $token" \
        -d '{"content":"What a wonderful morning."}'; }
    total() { curl "$api/diaries/stats" -H "authorization: Bearer $token" | sed 's/.*"total_entries":\([0-9]*\).*/\1/'; }
"#;

/// Stores entries without a pause until /tmp/stop exists, and prints the statuses and the stored total.
const LOAD: &str = r#"
    rm -f /tmp/stop /tmp/statuses
    before=$(total)
    # The proxies accept 50 requests per second from one address.
    while [ ! -e /tmp/stop ]; do post; sleep 0.02; done > /tmp/statuses
    echo "$(grep -c '^201$' /tmp/statuses) $(grep -vc '^201$' /tmp/statuses) $(($(total) - before))"
"#;

/// Prints: the status of plain HTTP; the number of HSTS headers; the status of a header that is not UTF-8; the status of a
/// body over the service's limit, and whether the service sent it; that of a body over the proxy's limit, and as an import,
/// without a token; and that of the sixth failed login, each of which names another address in X-Forwarded-For.
const PROXY_CHECKS: &str = r#"
    status() { curl -D /tmp/head -o /tmp/body -w '%{http_code}' "$@"; }
    curl() { command curl --silent --cacert /root/acme.pem "$@"; }
    http=$(status http://diary.test/health)
    hsts=$(curl -D - -o /dev/null https://diary.test/health | grep -ci '^strict-transport-security:')
    invalid=$(status https://diary.test/health -H "user-agent: $(printf '\377')")
    upload() { head -c "$1" /dev/zero > /tmp/upload
        status "https://diary.test$2" -H 'content-type: application/json' --data-binary @/tmp/upload; }
    medium=$(upload 131072 /auth/login)
    own=$(grep -ci '^x-request-id:' /tmp/head)
    sizes="$medium $own $(upload 200000 /auth/login) $(upload 200000 /diaries/import)"
    forget_attempts() { REDISCLI_AUTH=$(cat /etc/thought-diary/credentials/redis_password) redis-cli flushall > /dev/null; }
    forget_attempts
    for n in 1 2 3 4 5 6; do
        login=$(status https://diary.test/auth/login -H 'content-type: application/json' -H "x-forwarded-for: 192.0.2.$n" \
            -d '{"email":"nobody'$n'@example.com","password":"Passw0rd!"}')
    done
    forget_attempts
    echo "$http $hsts $invalid $sizes $login"
"#;

/// Prints the statuses of a route of operators: at the proxy, there with another spelling, and at an instance. Then the numbers
/// of lines that the proxy logged of a search and of a body over its limit, and of lines with their queries.
const PRIVATE_CHECKS: &str = r#"
    curl() { command curl --silent --path-as-is --cacert /root/acme.pem -o /dev/null -w '%{http_code}' \
        -H "authorization: Bearer $(cat /etc/thought-diary/credentials/sweep_token)" "$@"; }
    refused="$(curl https://diary.test/internal/metrics) $(curl https://diary.test//x/..//%69nternal/metrics)"
    instance=$(curl http://127.0.0.1:3000/internal/metrics)
    path=/diaries/$(openssl rand -hex 8)
    head -c 200000 /dev/zero > /tmp/upload
    curl "https://diary.test$path?q=what-a-user-searches-for" > /dev/null
    curl "https://diary.test$path?q=what-a-user-searches-for" --data-binary @/tmp/upload > /dev/null
    sleep 0.5
    journalctl --sync
    log() { journalctl --boot --unit=caddy --unit=nginx --output=cat; cat /var/log/nginx/*.log; }
    echo "$refused $instance $(log | grep -c "$path\b") $(log | grep -c what-a-user-searches-for || true)"
"#;

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    let name = "server: install, store over HTTPS, restart, kill, reboot, uninstall; with Caddy and with nginx";
    let programs = ["mmdebstrap", "systemd-nspawn", "nsenter", "strip"];
    if !summary.has_programs(name, &programs) {
        return Ok(());
    }
    if output("id", &["-u"])?.trim() != "0" {
        summary.skip(name, "run it as root");
        return Ok(());
    }
    let host = cargo::host(progress).await?;
    let progress = progress.clone();
    summary.add(name, spawn_blocking(move || test(&host, &progress)).await?);
    Ok(())
}

fn test(host: &Path, progress: &Progress) -> Result<()> {
    let folder = testbed::workspace().join("target/test-deploy");
    let root = prepare_root(&folder, progress)?;
    assemble_release(&root, host)?;

    let step = progress.step("Testing a server");
    step.announce();
    let server = Server::boot(&root)?;
    step.message("installing with Caddy");
    // The packages of both proxies are installed, and each wants port 80.
    server.run("systemctl disable --quiet --now caddy nginx")?;
    server.run(START_PEBBLE)?;
    let install = "ACME_CA=https://localhost:14000/dir /root/release/deploy/systemd/install.sh diary.test caddy";
    server.run(install)?;
    // One user writes all the time during the rolling restarts.
    server.run("echo SPIN_VARIABLE_WRITE_LIMIT=off >>/etc/thought-diary/settings.env")?;
    server.run("systemctl restart 'thought-diary@*'")?;
    wait_until_ready(&server)?;
    check_proxy(&server, "308 1 200 413 1 413 401 429")?;
    for unit in [
        "thought-diary@3000",
        "thought-diary-sweep",
        "thought-diary-backup",
        "thought-diary-migrate",
    ] {
        ensure_sandboxed(
            unit,
            &server.run(&format!(
                "systemd-analyze security --no-pager {unit}.service"
            ))?,
        )?;
    }
    check_rolling_restart(&server, &step)?;

    step.message("killing both instances");
    server.run("systemctl kill --signal=KILL thought-diary@3000 thought-diary@3001")?;
    wait_until_ready(&server)?;

    step.message("rebooting");
    let total = server.run(&format!("{CLIENT} total"))?;
    server.power_off()?;
    let server = Server::boot(&root)?;
    wait_until_ready(&server)?;
    let after = server.run(&format!("{CLIENT} total"))?;
    ensure!(
        after == total && total.trim() != "0",
        "{total} entries were stored, and {after} are there after a reboot"
    );

    step.message("checking sweep, backup and secrets");
    server.run("systemctl start thought-diary-sweep thought-diary-backup && ls /var/lib/private/thought-diary-backup/*.dump")?;
    let exposed = server.run(
        "for pid in $(pgrep -x host); do cat /proc/$pid/environ /proc/$pid/cmdline; done |
         grep -cf <(cat /etc/thought-diary/credentials/{service,redis}_password /etc/thought-diary/credentials/jwt_secret_key | fold -w 64) || true",
    )?;
    ensure!(
        exposed.trim() == "0",
        "a secret is in the environment or on the command line of the service"
    );

    step.message("installing again, and uninstalling");
    let secrets = "sha256sum /etc/thought-diary/credentials/* /etc/thought-diary/settings.env";
    let before = server.run(secrets)?;
    server.run(&format!("DRAIN_SECONDS=1 {install}"))?;
    ensure!(
        server.run(secrets)? == before,
        "installing again changed the secrets"
    );
    wait_until_ready(&server)?;
    uninstall(&server)?;

    step.message("installing with nginx and certbot");
    if Kind::detect() == Kind::Spin {
        fs::copy(which::which("spin")?, root.join("root/release/bin/spin"))?;
    }
    server.run("systemctl disable --quiet --now caddy")?;
    server.run(START_PEBBLE)?;
    server.run(
        "export CERTBOT_OPTIONS='--server https://localhost:14000/dir --register-unsafely-without-email'
        /root/release/deploy/systemd/install.sh diary.test nginx",
    )?;
    wait_until_ready(&server)?;
    let kept = server.run(&format!("{CLIENT} total"))?;
    ensure!(
        kept == total,
        "{total} entries were stored, and {kept} are there after another installation"
    );
    check_proxy(&server, "301 1 400 413 1 413 401 429")?;
    check_rolling_restart(&server, &step)?;
    // The site of the first certificate is another one than that of its renewals.
    server.run("certbot renew --quiet --force-renewal --no-random-sleep-on-renew")?;
    wait_until_ready(&server)?;
    uninstall(&server)?;
    server.power_off()?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    step.done();
    Ok(())
}

fn check_proxy(server: &Server, expected: &str) -> Result<()> {
    let checks = [
        (PROXY_CHECKS, expected),
        (PRIVATE_CHECKS, "404 404 200 2 0"),
    ];
    for (script, expected) in checks {
        let found = server.run(script)?;
        ensure!(
            found.trim() == expected,
            "the checks of the proxy found {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}

/// Restarts both instances while a client writes.
fn check_rolling_restart(server: &Server, step: &Step) -> Result<()> {
    step.message("restarting both instances under load");
    let load = server.start(&format!("{CLIENT}{LOAD}"))?;
    server.run("sleep 2; DRAIN_SECONDS=3 thought-diary-restart; sleep 1; touch /tmp/stop")?;
    let printed = load.wait_with_output()?.stdout;
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    let [stored, failed, found] = printed.split(' ').collect::<Vec<_>>()[..] else {
        bail!("the load printed {printed:?}");
    };
    ensure!(
        failed == "0" && stored == found && stored != "0",
        "{stored} stored, {failed} failed, {found} found"
    );
    println!("     rolling restart: {stored} entries written, 0 failed, all stored");
    Ok(())
}

fn uninstall(server: &Server) -> Result<()> {
    server.run("/root/release/deploy/systemd/install.sh --uninstall")?;
    let left = server.run("systemctl list-units --all --no-legend 'thought-diary*'; ls -d /opt/thought-diary* 2>/dev/null || true")?;
    ensure!(left.trim().is_empty(), "uninstalling left {left}");
    Ok(())
}

fn wait_until_ready(server: &Server) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while let Err(error) = server.run(
        "curl --silent --show-error --cacert /root/acme.pem --fail --max-time 5 https://diary.test/ready",
    ) {
        if Instant::now() > deadline {
            let log = "journalctl --no-pager --lines=20 --unit='thought-diary*' --unit=caddy --unit=nginx";
            let log = server.run(log).unwrap_or_default();
            return Err(error).context(format!(
                "the service is not ready; its log ends with:\n{log}"
            ));
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    Ok(())
}

/// Returns a fresh root file system. The one that it is copied from is kept, because making it takes minutes.
fn prepare_root(folder: &Path, progress: &Progress) -> Result<PathBuf> {
    let (base, root) = (folder.join("base"), folder.join("root"));
    let marker = folder.join("packages");
    if fs::read_to_string(&marker).ok().as_deref() != Some(PACKAGES) {
        let step = progress.step("Making a root file system of Debian 13");
        step.announce();
        let unfinished = folder.join("base.new");
        let unfinished_path = unfinished.to_string_lossy();
        fs::create_dir_all(folder)?;
        let _ = fs::remove_dir_all(&unfinished);
        output(
            "mmdebstrap",
            &[
                "--variant=minbase",
                &format!("--include={PACKAGES}"),
                "trixie",
                &unfinished_path,
            ],
        )?;
        let _ = fs::remove_dir_all(&base);
        fs::rename(&unfinished, &base)?;
        fs::write(marker, PACKAGES)?;
        step.done();
    }
    let _ = fs::remove_dir_all(&root);
    output(
        "cp",
        &[
            "--archive",
            "--reflink=auto",
            &base.to_string_lossy(),
            &root.to_string_lossy(),
        ],
    )?;
    Ok(root)
}

fn assemble_release(root: &Path, host: &Path) -> Result<()> {
    let programs = tempfile::tempdir()?;
    symlink(host, programs.path().join("host"))?;
    symlink(std::env::current_exe()?, programs.path().join("xtask"))?;
    let release = root.join("root/release");
    let mut assemble = Command::new("deploy/assemble.sh");
    output_of(assemble.arg(&release).arg(programs.path()))?;
    Ok(())
}
