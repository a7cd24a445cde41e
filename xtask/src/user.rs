//! `cargo xtask user`: accounts, as operators manage them.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, anyhow, ensure};
use testbed::accounts::{self, Account, Email, NewPassword};
use testbed::migrate;

use crate::local::Database;

/// Bytes of standard input that are read: more than the longest password has.
const MAX_INPUT: u64 = 4096;

/// Add, list, disable and enable accounts, and reset their passwords
///
/// Uses the database in SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one.
/// Passwords are asked for, or read from standard input. They are no arguments, because every user
/// of the machine can see those. The rules are those of registration.
///
/// Examples:
///   cargo xtask user add ann@example.com
///   cargo xtask user add ann@example.com < password.txt
///   cargo xtask user list
///   cargo xtask user list @example.com
///   cargo xtask user disable ann@example.com
///   cargo xtask user disable ann@example.com --enable
///   cargo xtask user reset ann@example.com --random
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Create an account
    Add {
        #[command(flatten)]
        account: Selected,
        /// Choose a random password and print it
        #[arg(long)]
        random: bool,
    },
    /// List accounts with their last login within a year, their entries and their state
    List {
        /// Part of the emails to list [default: all]
        #[arg(default_value = "", hide_default_value = true)]
        part: String,
    },
    /// Disable an account: its sessions end, nobody can log in, its entries stay
    Disable {
        #[command(flatten)]
        account: Selected,
        /// Enable it again instead
        #[arg(long)]
        enable: bool,
    },
    /// Replace the password of an account and end its sessions
    Reset {
        #[command(flatten)]
        account: Selected,
        /// Choose a random password and print it
        #[arg(long)]
        random: bool,
    },
}

#[derive(clap::Args)]
struct Selected {
    /// Email of the account
    #[arg(value_parser = parse_email)]
    email: Email,
}

fn parse_email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|reason| format!("an email {reason}"))
}

pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = &database.url;
    if database.started.is_some() {
        migrate::up(url).await?;
    } else {
        migrate::ensure_current(url).await?;
    }
    let done = act(&arguments.action, url).await;
    database.close().await;
    done
}

async fn act(action: &Action, url: &str) -> Result<()> {
    match action {
        Action::Add { account, random } => {
            let Selected { email } = account;
            let password = password(*random)?;
            let id = accounts::add(url, email, &password).await?;
            println!("Added {} with the id {id}.", email.as_str());
            show(&password, *random);
        }
        Action::List { part } => print!("{}", table(&accounts::list(url, part).await?)),
        Action::Disable { account, enable } => {
            let Selected { email } = account;
            if *enable {
                accounts::enable(url, email).await?;
                println!("Enabled {}.", email.as_str());
            } else {
                accounts::disable(url, email).await?;
                println!("Disabled {} and ended its sessions.", email.as_str());
            }
        }
        Action::Reset { account, random } => {
            let Selected { email } = account;
            let password = password(*random)?;
            accounts::reset(url, email, &password).await?;
            println!(
                "Replaced the password of {} and ended its sessions.",
                email.as_str()
            );
            show(&password, *random);
        }
    }
    Ok(())
}

/// Returns a random password, or one that is typed or piped.
fn password(is_random: bool) -> Result<NewPassword> {
    if is_random {
        return accounts::random_password();
    }
    let mut input = std::io::stdin();
    if !input.is_terminal() {
        return read_password(&mut input);
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).context("the password cannot be read from the terminal")
    };
    let typed = ask("Password: ")?;
    let password = parse_password(&typed)?;
    ensure!(
        ask("The same again: ")? == typed,
        "the two passwords differ: nothing was changed"
    );
    Ok(password)
}

/// Reads a password, with or without a line break behind it.
fn read_password(input: &mut impl Read) -> Result<NewPassword> {
    let mut text = String::new();
    input
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .context("standard input has no password in UTF-8")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    ensure!(
        !line.is_empty(),
        "standard input is empty: write the password there, or use --random"
    );
    ensure!(
        !line.contains('\n'),
        "standard input has more than one line: write only the password there"
    );
    parse_password(line)
}

fn parse_password(text: &str) -> Result<NewPassword> {
    NewPassword::parse(text).map_err(|reasons| anyhow!("the password {}", reasons.join(", ")))
}

fn show(password: &NewPassword, is_random: bool) {
    if is_random {
        println!("Password: {}", password.expose());
    }
}

/// Returns the accounts in columns. The email is the last one, because it has no fixed width.
fn table(accounts: &[Account]) -> String {
    let line = |id: &str, created: &str, login: &str, entries: &str, state: &str, email: &str| {
        format!("{id:>10}  {created:16}  {login:16}  {entries:>9}  {state:25}  {email}\n")
    };
    let mut lines = line(
        "id",
        "created (UTC)",
        "last login",
        "entries",
        "state",
        "email",
    );
    for account in accounts {
        let state = match &account.disabled {
            None => "active".to_owned(),
            Some(since) => format!("disabled {since}"),
        };
        lines += &line(
            &account.id.to_string(),
            &account.created,
            account.last_login.as_deref().unwrap_or("-"),
            &account.entries.to_string(),
            &state,
            &account.email,
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let password = read_password(&mut text.as_bytes());
        let exposed = password.map(|password| password.expose().to_owned());
        exposed.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn reads_a_password_with_or_without_a_line_break() {
        for text in ["Passw0rd! x", "Passw0rd! x\n", "Passw0rd! x\r\n"] {
            assert_eq!(read(text), Ok("Passw0rd! x".to_owned()));
        }
        assert_eq!(read(" Passw0rd! \n"), Ok(" Passw0rd! ".to_owned()));
    }

    #[test]
    fn names_every_broken_rule_and_does_not_show_the_password() {
        let broken = "the password must be 8 to 256 characters long, must contain an upper-case letter, must contain a digit, must contain a special character";
        assert_eq!(read("secret\n"), Err(broken.to_owned()));
        let empty = "standard input is empty: write the password there, or use --random";
        assert_eq!(read("\n"), Err(empty.to_owned()));
        let lines = "standard input has more than one line: write only the password there";
        assert_eq!(read("Passw0rd!\nPassw0rd!\n"), Err(lines.to_owned()));
    }

    #[test]
    fn aligns_accounts_in_columns() {
        let account = Account {
            id: 7,
            email: "ann@example.com".into(),
            created: "2026-11-25 20:15".into(),
            last_login: None,
            entries: 12,
            disabled: None,
        };
        let disabled = Account {
            id: 1_234,
            email: "ben@example.com".into(),
            last_login: Some("2026-11-26 08:00".into()),
            disabled: Some("2026-11-26 09:30".into()),
            ..account.clone()
        };
        let expected = "        id  created (UTC)     last login          entries  state                      email
         7  2026-11-25 20:15  -                        12  active                     ann@example.com
      1234  2026-11-25 20:15  2026-11-26 08:00         12  disabled 2026-11-26 09:30  ben@example.com
";
        assert_eq!(table(&[account, disabled]), expected);
    }
}
