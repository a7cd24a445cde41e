//! What clients get through the proxy.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use testbed::settings::TEST_SWEEP_TOKEN;

use super::super::report::output_of;
use super::Deployment;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Must not be in the log of the proxy.
const SEARCH: &str = "what-a-user-searches-for";

impl Deployment {
    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Returns a file with the proxy's certificate authority.
    fn authority(&self) -> Result<PathBuf> {
        let authority = self.path("authority.pem");
        let mut copy = self.compose_command();
        copy.args(["cp", "proxy:/data/caddy/pki/authorities/local/root.crt"]);
        output_of(copy.arg(&authority))?;
        Ok(authority)
    }

    /// Checks that the proxy refuses the routes of operators, which the sweep reaches, and that its log has no queries.
    pub(super) fn check_proxy(&self) -> Result<()> {
        let authority = self.authority()?;
        let status = |path: &str| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--path-as-is", "--output", "/dev/null"])
                .args(["--write-out", "%{http_code}", "--cacert"])
                .arg(&authority)
                .arg("--header")
                .arg(format!("authorization: Bearer {TEST_SWEEP_TOKEN}"))
                .arg(format!("{}{path}", self.url()));
            output_of(&mut curl)
        };
        for path in [
            "/internal/metrics",
            "/internal/backlog",
            "/internal/sweep",
            "//%69nternal/./metrics",
        ] {
            let found = status(path)?;
            ensure!(
                found == "404",
                "the proxy answers {path} with {found} instead of 404"
            );
        }
        let swept = self.execute(
            "sweep",
            "/opt/thought-diary/bin/thought-diary sweep --url http://app:3000",
        )?;
        ensure!(
            swept.contains("entries analyzed"),
            "the sweep printed {swept}"
        );

        // Without a valid token.
        let path = format!("/diaries?q={SEARCH}");
        let found = status(&path)?;
        ensure!(
            found == "401",
            "the proxy answers {path} with {found} instead of 401"
        );
        let log = self.compose("logs proxy")?;
        ensure!(
            log.contains("\"uri\":\"/diaries\"") && !log.contains(SEARCH),
            "the log of the proxy has a query, or not the request:\n{log}"
        );
        Ok(())
    }

    /// Runs `cargo xtask test --url` on the proxy, trusting its certificate authority.
    pub(super) fn run_end_to_end_tests(&self, runtime: &str) -> Result<()> {
        let mut tests = Command::new(std::env::current_exe()?);
        tests
            .args(["test", "--url", &self.url()])
            .env("E2E_CA", self.authority()?);
        if let Some(address) = self.model {
            tests.env("E2E_MODEL_ADDRESS", address.to_string());
        }
        // The bridge of Docker is reachable from this machine on Linux only.
        for (service, port, secret, variable) in [
            ("postgres", 5432, "migrate_database_url", "E2E_DATABASE_URL"),
            ("redis", 6379, "redis_url", "E2E_REDIS_URL"),
        ] {
            let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let address = SocketAddr::new(self.inspect(service, networks)?.parse()?, port);
            if TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok() {
                let name = format!("@{service}:{port}");
                let url = self.secret(secret)?.replace(&name, &format!("@{address}"));
                tests.env(variable, url);
            }
        }
        let printed = output_of(&mut tests)?;
        let result = printed
            .lines()
            .find(|line| line.starts_with("test result: "));
        let Some(result) = result else {
            bail!("the end-to-end tests printed no result:\n{printed}");
        };
        let passed = result
            .split(' ')
            .nth(3)
            .and_then(|count| count.parse().ok());
        ensure!(passed > Some(100), "few tests ran: {result}");
        println!(
            "     on the runtime {runtime}, through the proxy: {}",
            result.trim_start_matches("test result: ")
        );
        Ok(())
    }
}
