//! The wasm target from Debian's packages, for machines that cannot reach rustup's server.
//!
//! Debian has a recent compiler with its library's source, a linker for wasm, and
//! (in its release 13) the C library for WASI. Cargo then compiles the standard
//! library along with the components.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::apt;
use crate::progress::Progress;

const COMPILER: &str = "/usr/bin/rustc";
const SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "rust-web-llvm", "lld-22"];
/// The oldest release whose C library for WASI knows wasip2.
const SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// All parts, in place.
pub(crate) struct Prepared {
    component_linker: PathBuf,
    linker: PathBuf,
    wasi_libc: PathBuf,
}

impl Prepared {
    /// Makes a call of cargo build with these parts.
    pub(crate) fn apply(&self, command: &mut Command) {
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
            // The option before is for nightly toolchains; this lets a stable one take it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", COMPILER)
            // Wrappers know the compiler that they were set up for.
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("CARGO_BUILD_RUSTC_WRAPPER")
            .env_remove("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS")
            .env("CARGO_TARGET_WASM32_WASIP2_LINKER", &self.component_linker)
            // The separator lets paths hold blanks.
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    }
}

/// The parts, if all are in place.
pub(crate) fn prepared() -> Option<Prepared> {
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

/// Puts the missing parts in place.
pub(crate) fn prepare(progress: &Progress) -> Result<Prepared> {
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
        let step = progress.step("Fetching the C library for WASI");
        step.announce();
        fetch_wasi_libc().context("cannot get Debian's package wasi-libc")?;
        step.done();
    }
    prepared().context("Debian's packages for the wasm target are installed, but lack a part; install the Rust target wasm32-wasip2 with rustup instead")
}

/// In the target folder: `cargo clean` removes it, and the next build fetches it again.
fn folder() -> PathBuf {
    crate::workspace().join("target/debian-wasm")
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

/// The `wasm-ld-<version>` of the highest version.
fn newest_linker(names: impl Iterator<Item = String>) -> Option<String> {
    let version = |name: &String| name.strip_prefix("wasm-ld-")?.parse::<u32>().ok();
    names
        .filter(|name| version(name).is_some_and(|version| version >= 22))
        .max_by_key(version)
}

/// Downloads the package with apt, which checks its signature, but with lists and
/// settings of its own: the machine's apt must not get a second Debian release.
fn fetch_wasi_libc() -> Result<()> {
    let failed = |output: String| anyhow!("{output}");
    let folder = folder();
    let private = PrivateApt::new(&folder.join("apt"), &mirror()?)?;
    apt::run(&mut private.call("update", &[])).map_err(failed)?;
    apt::run(&mut private.call("download", &["wasi-libc"])).map_err(failed)?;
    let package = fs::read_dir(&private.folder)?
        .flatten()
        .map(|file| file.path())
        .find(|file| file.extension().is_some_and(|extension| extension == "deb"))
        .context("apt downloaded nothing")?;
    // Unpacked beside and renamed, so that a run cut short leaves nothing that looks whole.
    let (unfinished, finished) = (folder.join("wasi-libc.new"), folder.join("wasi-libc"));
    for left in [&unfinished, &finished] {
        if left.exists() {
            fs::remove_dir_all(left)?;
        }
    }
    let mut unpack = Command::new("dpkg");
    unpack.arg("-x").arg(&package).arg(&unfinished);
    apt::run(&mut unpack).map_err(failed)?;
    fs::rename(&unfinished, &finished)?;
    fs::remove_dir_all(&private.folder)?;
    Ok(())
}

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
        // The machine's own hooks would clean its caches and rebuild its catalogues.
        fs::write(
            folder.join("apt.conf"),
            "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear Acquire::IndexTargets::deb::DEP-11;\n",
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn call(&self, verb: &str, packages: &[&str]) -> Command {
        let mut command = apt::apt_get(&["-c"], &[]);
        command.arg(self.folder.join("apt.conf"));
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
        // Its own user may not reach a checkout below /root.
        command
            .args(["-o", "APT::Sandbox::User=root", verb])
            .args(packages);
        command.current_dir(&self.folder);
        command
    }
}

/// The address of the Debian mirror that this machine uses.
fn mirror() -> Result<String> {
    let ask = || -> Result<Option<String>> {
        let output = Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
                "Created-By: Packages",
            ])
            .output()
            .context("cannot ask apt for the machine's mirror")?;
        Ok(main_archive(&String::from_utf8_lossy(&output.stdout)))
    };
    if let Some(mirror) = ask()? {
        return Ok(mirror);
    }
    // Without lists apt does not know what is at an address.
    apt::run(&mut apt::apt_get(&["update"], &[])).map_err(|output| anyhow!("{output}"))?;
    ask()?.context("apt on this machine has no source of Debian's own archive; add one to /etc/apt/sources.list.d")
}

/// The first address that is Debian's archive itself, not its security updates or anyone else's.
fn main_archive(targets: &str) -> Option<String> {
    targets
        .lines()
        .find_map(|line| Some(line.strip_prefix("Debian|Debian|")?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_archive_itself() {
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
    fn the_newest_linker_is_taken() {
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
