//! The site in deploy/proxy/nginx.conf on free ports, in a minimal configuration and with a certificate of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use testbed::process::{ChildProcess, Signal};

use super::report::{output, output_of};

const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The ports in the site's file.
pub struct Ports {
    pub http: u16,
    pub https: u16,
    pub instances: [u16; 2],
}

/// A folder with everything that nginx reads and writes.
pub struct Site {
    folder: TempDir,
    https: u16,
}

impl Site {
    pub fn new(ports: &Ports) -> Result<Self> {
        let site = Self {
            folder: tempfile::tempdir()?,
            https: ports.https,
        };
        site.make_certificate()?;
        let folder = site.folder.path().display();
        let [first, second] = ports.instances.map(|port| port.to_string());
        let text = fs::read_to_string(testbed::workspace().join("deploy/proxy/nginx.conf"))?;
        let text: String = text
            .lines()
            .filter(|line| !line.contains("listen [::]"))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = text
            .replace("DOMAIN", "localhost")
            .replace("/etc/letsencrypt", &folder.to_string())
            .replace("/run/thought-diary-drain", &format!("{folder}/drain"))
            .replace("/var/log/nginx", &folder.to_string())
            .replace("listen 80;", &format!("listen 127.0.0.1:{};", ports.http))
            .replace("listen 443 ", &format!("listen 127.0.0.1:{} ", ports.https))
            // In two steps: a new port may contain the digits of the other one.
            .replace("3000", "FIRST")
            .replace("3001", "SECOND")
            .replace("FIRST", &first)
            .replace("SECOND", &second);
        fs::write(site.path("site.conf"), text)?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
            .concat();
        let main = format!(
            "user root root;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
            events {{ worker_connections 4096; }}\n\
            http {{\naccess_log off;\n{temporary}include {folder}/site.conf;\n}}\n"
        );
        fs::write(site.path("nginx.conf"), main)?;
        fs::create_dir(site.path("drain"))?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_certificate(&self) -> Result<()> {
        let live = self.path("live/localhost");
        fs::create_dir_all(&live)?;
        let request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost";
        let mut command = Command::new("openssl");
        command
            .args(request.split(' '))
            .arg("-keyout")
            .arg(live.join("privkey.pem"))
            .arg("-out")
            .arg(live.join("fullchain.pem"));
        output_of(&mut command).map(drop)
    }

    /// Runs `nginx -t`.
    pub fn check(&self) -> Result<()> {
        let config = self.path("nginx.conf").display().to_string();
        output("nginx", &["-t", "-c", &config]).map(drop)
    }

    /// Starts nginx and waits until it listens.
    pub fn start(&self) -> Result<ChildProcess> {
        self.check()?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(self.path("nginx.conf"));
        let nginx = ChildProcess::start(command, Signal::SIGTERM)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", self.https)).is_err() {
            ensure!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(nginx)
    }

    /// Returns the file whose existence keeps new requests from the instance on a port.
    pub fn drain_flag(&self, port: u16) -> PathBuf {
        self.path("drain").join(port.to_string())
    }
}

/// Returns a port that nothing listens on.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
