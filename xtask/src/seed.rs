//! `cargo xtask seed`: sample users with diaries, to look at and to try clients with.

use anyhow::{Context, Result, anyhow};
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use sqlx::{Connection, PgConnection};
use url::{Host, Url};

use crate::local::Database;
use crate::migrate;

mod samples;

use samples::Sample;

/// Addresses below `.example` can be nobody's, so removing them never removes a real account.
const USERS: [(&str, usize); 3] = [
    ("ada@thought-diary.example", 90),
    ("ben@thought-diary.example", 24),
    ("new@thought-diary.example", 0),
];
const PASSWORD: &str = "Sample-Diary-1";

/// Add sample users and diaries, or remove them
///
/// Safe to repeat: users that are there stay as they are. Uses the database of
/// SPIN_VARIABLE_DATABASE_URL (environment or .env), else the private local one.
///
/// Examples:
///   cargo xtask seed
///   cargo xtask seed --clear
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Remove the sample users, with all that was written as them, and nothing else
    #[arg(long)]
    clear: bool,
}

/// Seeds or clears.
///
/// # Errors
/// When the database cannot be had or lacks a migration.
pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = database.url();
    if database.is_started() {
        migrate::up(url).await?;
    } else {
        migrate::ensure_current(url).await?;
    }
    if arguments.clear {
        println!("Removed {} sample users.", clear(url).await?);
    } else {
        let added = add(url).await?;
        println!(
            "Added {added} sample users, {} were there.",
            USERS.len() - added
        );
        if !is_local(url) {
            eprintln!(
                "Warning: this is not a local database, and everybody knows the password below. `cargo xtask seed --clear` removes these users."
            );
        }
        for (email, diaries) in USERS {
            println!("  {email}  password {PASSWORD}  ({diaries} diaries)");
        }
    }
    database.close().await
}

/// Adds the users that are missing, with their diaries, in one statement. Gives their number.
///
/// # Errors
/// When the database refuses.
pub async fn add(url: &str) -> Result<usize> {
    let mut connection = PgConnection::connect(url)
        .await
        .context("cannot connect to the database")?;
    let emails: Vec<&str> = USERS.iter().map(|(email, _)| *email).collect();
    let hashes: Vec<String> = USERS
        .iter()
        .map(|_| hash(PASSWORD))
        .collect::<Result<_>>()?;
    let diaries: Vec<(&str, Sample)> = USERS
        .iter()
        .flat_map(|(email, count)| samples::diaries(*count).map(|sample| (*email, sample)))
        .collect();
    let added: i64 = sqlx::query_scalar(
        "-- seed::add()
        with new_users as (
            insert into users (email, password_hash)
            select * from unnest($1::text[], $2::text[])
            on conflict (email) do nothing
            returning id, email
        ), new_diaries as (
            insert into thought_diaries
                (user_id, content, analyzed_content, positive_count, negative_count, analyzed_by, created_at, updated_at)
            select new_users.id, content, html, positive, negative, 'lexicon', written, written
            from unnest($3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[])
                as diary (email, content, html, positive, negative, minutes_ago)
            join new_users using (email)
            cross join lateral (select date_trunc('milliseconds', now() at time zone 'utc') - make_interval(mins => minutes_ago)) at (written)
            order by minutes_ago desc
        )
        select count(*) from new_users",
    )
    .bind(emails)
    .bind(hashes)
    .bind(diaries.iter().map(|(email, _)| *email).collect::<Vec<_>>())
    .bind(diaries.iter().map(|(_, sample)| sample.content.as_str()).collect::<Vec<_>>())
    .bind(diaries.iter().map(|(_, sample)| sample.html.as_str()).collect::<Vec<_>>())
    .bind(diaries.iter().map(|(_, sample)| sample.positive).collect::<Vec<_>>())
    .bind(diaries.iter().map(|(_, sample)| sample.negative).collect::<Vec<_>>())
    .bind(diaries.iter().map(|(_, sample)| sample.minutes_ago).collect::<Vec<_>>())
    .fetch_one(&mut connection)
    .await
    .context("the database refused the sample users")?;
    connection.close().await?;
    Ok(usize::try_from(added)?)
}

/// Removes the sample users; their diaries, logins and totals go with them. Gives their number.
///
/// # Errors
/// When the database refuses.
pub async fn clear(url: &str) -> Result<u64> {
    let mut connection = PgConnection::connect(url)
        .await
        .context("cannot connect to the database")?;
    let removed = sqlx::query("-- seed::clear()\ndelete from users where email = any($1)")
        .bind(USERS.iter().map(|(email, _)| *email).collect::<Vec<_>>())
        .execute(&mut connection)
        .await
        .context("the database refused to remove the sample users")?;
    connection.close().await?;
    Ok(removed.rows_affected())
}

/// The hash as the service makes it.
fn hash(password: &str) -> Result<String> {
    let parameters = Params::new(19456, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let hash = argon2
        .hash_password(password.as_bytes())
        .map_err(|error| anyhow!("{error}"))?;
    Ok(hash.to_string())
}

fn is_local(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match url.host() {
        // The scheme is not one that the URL standard knows, so addresses come as names.
        Some(Host::Domain(name)) => {
            name == "localhost"
                || name
                    .parse::<std::net::Ipv4Addr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hashed_as_the_service_does() {
        let hash = hash(PASSWORD).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
    }

    #[test]
    fn databases_elsewhere_are_told_from_local_ones() {
        for url in [
            "postgres://u@127.0.0.1/d",
            "postgres://u@localhost:1/d",
            "postgres://u@[::1]/d",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "postgres://u@db.example/d",
            "postgres://u@10.0.0.1/d",
            "nonsense",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
