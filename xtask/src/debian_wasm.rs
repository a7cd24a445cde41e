//! The wasm target from Debian's packages, for machines that cannot reach the server of rustup.
//!
//! Nothing else depends on how this works: [`prepare`] installs what is missing, and
//! [`Prepared::apply`] changes a call of cargo. Debian has a recent compiler with the source of
//! the standard library, a linker for wasm, and (in release 13) the C library for WASI. Cargo then
//! compiles the standard library together with the components.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use testbed::apt;
use testbed::progress::Progress;

const COMPILER: &str = "/usr/bin/rustc";
const SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "rust-web-llvm", "lld-22"];
/// The oldest release whose C library for WASI supports wasip2.
const SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The installed parts.
pub struct Prepared {
    component_linker: PathBuf,
    linker: PathBuf,
    wasi_libc: PathBuf,
}

impl Prepared {
    /// Makes a `cargo build` use these parts.
    pub fn apply(&self, command: &mut Command) {
        let library = self.wasi_libc.display();
        let flags = [
            "-Ctarget-feature=+simd128".to_owned(),
            "-Clink-self-contained=no".to_owned(),
            format!("-Lnative={library}"),
            format!("-Clink-arg={library}/crt1-reactor.o"),
            "-Clink-arg=--wasm-ld-path".to_owned(),
            format!("-Clink-arg={}", self.linker.display()),
        ];
        command
            .arg("-Zbuild-std=std,panic_abort")
            // `-Z` options need a nightly toolchain; this makes a stable one accept them.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", COMPILER)
            // A wrapper may work only with the compiler it was set up for.
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("CARGO_BUILD_RUSTC_WRAPPER")
            .env_remove("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS")
            .env("CARGO_TARGET_WASM32_WASIP2_LINKER", &self.component_linker)
            // With this separator paths may contain blanks.
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    }
}

/// Returns the parts, if all are installed.
pub fn prepared() -> Option<Prepared> {
    let wasi_libc = folder().join("wasi-libc/usr/lib/wasm32-wasip2");
    let complete = Path::new(COMPILER).exists()
        && Path::new(SOURCE).exists()
        && wasi_libc.join("crt1-reactor.o").exists();
    if !complete {
        return None;
    }
    Some(Prepared {
        component_linker: component_linker()?,
        linker: linker()?,
        wasi_libc,
    })
}

/// Installs the missing parts. Blocks.
///
/// # Errors
/// When apt may not be used, or fails.
pub fn prepare(progress: &Progress) -> Result<Prepared> {
    let installed = Path::new(COMPILER).exists()
        && Path::new(SOURCE).exists()
        && component_linker().is_some()
        && linker().is_some();
    if !installed {
        apt::install(&PACKAGES, "the wasm target without rustup")?;
    }
    if !folder()
        .join("wasi-libc/usr/lib/wasm32-wasip2/crt1-reactor.o")
        .exists()
    {
        let step = progress.step("Downloading the C library for WASI");
        step.announce();
        download_wasi_libc().context("cannot download Debian's package wasi-libc")?;
        step.done();
    }
    prepared().context("Debian's packages for the wasm target are installed, but incomplete: install the Rust target wasm32-wasip2 with rustup instead")
}

/// A folder in `target`, so that `cargo clean` removes it; the next build downloads the library again.
fn folder() -> PathBuf {
    testbed::workspace().join("target/debian-wasm")
}

fn component_linker() -> Option<PathBuf> {
    let file = PathBuf::from(format!(
        "/usr/lib/rustlib/{}-unknown-linux-gnu/bin/wasm-component-ld",
        std::env::consts::ARCH
    ));
    file.exists().then_some(file)
}

fn linker() -> Option<PathBuf> {
    let names = fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .filter_map(|file| file.file_name().into_string().ok());
    newest_linker(names).map(|name| Path::new("/usr/bin").join(name))
}

/// Returns the `wasm-ld-<version>` with the highest version, 22 or newer.
fn newest_linker(names: impl Iterator<Item = String>) -> Option<String> {
    let version = |name: &String| name.strip_prefix("wasm-ld-")?.parse::<u32>().ok();
    names
        .filter(|name| version(name).is_some_and(|version| version >= 22))
        .max_by_key(version)
}

/// Downloads the package with apt, which checks its signature, but with package lists and
/// settings of its own: the machine's apt must not see a second Debian release.
fn download_wasi_libc() -> Result<()> {
    let failed = |output: String| anyhow!("{output}");
    let folder = folder();
    let private = PrivateApt::new(&folder.join("apt"), &mirror()?)?;
    apt::run(&mut private.command("update", &[])).map_err(failed)?;
    apt::run(&mut private.command("download", &["wasi-libc"])).map_err(failed)?;
    let package = fs::read_dir(&private.folder)?
        .flatten()
        .map(|file| file.path())
        .find(|file| file.extension().is_some_and(|extension| extension == "deb"))
        .context("apt downloaded nothing")?;
    // Renamed at the end, so that an interrupted run leaves nothing that looks complete.
    let (incomplete, complete) = (folder.join("wasi-libc.new"), folder.join("wasi-libc"));
    for old in [&incomplete, &complete] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    let mut unpack = Command::new("dpkg");
    unpack.arg("-x").arg(&package).arg(&incomplete);
    apt::run(&mut unpack).map_err(failed)?;
    fs::rename(&incomplete, &complete)?;
    fs::remove_dir_all(&private.folder)?;
    Ok(())
}

/// A configuration of apt in a folder of its own.
struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    fn new(folder: &Path, mirror: &str) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("status"), "")?;
        fs::write(
            folder.join("sources.list"),
            format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"),
        )?;
        // The machine's hooks would clean its caches and rebuild its catalogs.
        fs::write(
            folder.join("apt.conf"),
            "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear Acquire::IndexTargets::deb::DEP-11;\n",
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn command(&self, verb: &str, packages: &[&str]) -> Command {
        let mut command = apt::apt_get();
        command.arg("-c").arg(self.folder.join("apt.conf"));
        for (option, place) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command
                .arg("-o")
                .arg(format!("{option}={}", self.folder.join(place).display()));
        }
        command.args([
            "-o",
            "Dir::Etc::sourceparts=/dev/null",
            "-o",
            "Acquire::Languages=none",
        ]);
        // apt's own user cannot read a checkout below /root.
        command
            .args(["-o", "APT::Sandbox::User=root", verb])
            .args(packages);
        command.current_dir(&self.folder);
        command
    }
}

/// Returns the address of the Debian mirror that this machine uses.
fn mirror() -> Result<String> {
    let query = || -> Result<Option<String>> {
        let output = Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
                "Created-By: Packages",
            ])
            .output()
            .context("cannot run apt-get")?;
        Ok(main_archive(&String::from_utf8_lossy(&output.stdout)))
    };
    if let Some(mirror) = query()? {
        return Ok(mirror);
    }
    // Without package lists apt does not know what an address offers.
    apt::run(apt::apt_get().arg("update")).map_err(|output| anyhow!("{output}"))?;
    query()?.context("apt on this machine has no source of Debian's own archive; add one to /etc/apt/sources.list.d")
}

/// Returns the first address of Debian's main archive; its security updates and other vendors' archives are left out.
fn main_archive(targets: &str) -> Option<String> {
    targets
        .lines()
        .find_map(|line| Some(line.strip_prefix("Debian|Debian|")?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mirror_of_the_main_archive() {
        let targets = "Example|Debian|http://other.test/\n\
                       Debian|Debian-Security|http://mirror.test/debian-security/\n\
                       Debian|Debian|http://mirror.test/debian/\n\
                       Debian|Debian|http://second.test/debian/\n";
        assert_eq!(
            main_archive(targets).as_deref(),
            Some("http://mirror.test/debian/")
        );
        assert_eq!(main_archive("||http://mirror.test/debian/\n"), None);
        assert_eq!(main_archive(""), None);
    }

    #[test]
    fn takes_the_newest_linker() {
        let names = [
            "wasm-ld-19",
            "wasm-ld-22",
            "wasm-ld-23",
            "wasm-ld",
            "ld.lld-24",
        ];
        let newest = |names: &[&str]| newest_linker(names.iter().map(ToString::to_string));
        assert_eq!(newest(&names).as_deref(), Some("wasm-ld-23"));
        assert_eq!(newest(&names[..1]), None);
    }
}
