//! The users of the benchmark: one with a short history, one with a long one, and many that write.

use anyhow::{Context, Result};
use testbed::api::{Call, User, login};
use testbed::database;
use testbed::load::UNIQUE;
use tokio_postgres::Client;

/// Entries of the user with the short history.
pub const SMALL: i32 = 3_000;
/// Entries of the user with the long history.
pub const LARGE: i32 = 300_000;
/// Users that write. Totals are kept in one row per user, which one statement at a time can change.
const WRITERS: usize = 64;

/// The password of all users.
pub const PASSWORD: &str = "Bench-Diary-1";
/// A typical entry, with the two words that the stand-in for the model marks.
const ENTRY: &str = "We walked around the lake before breakfast and it was lovely, with nobody there but the herons. \
    The train home was awful: two hours late, no seat, and the heating would not stop.";

/// All users, logged in.
pub struct Users {
    /// Has [`SMALL`] entries.
    pub small: User,
    /// Has [`LARGE`] entries.
    pub large: User,
    /// Have no entries at first.
    pub writers: Vec<User>,
}

impl Users {
    /// Creates the users and their histories in the database, and logs them in at the service at `url`.
    pub async fn create(url: &str, database_url: &str) -> Result<Self> {
        let small = User::register(url, &email("small"), PASSWORD).await?;
        let large = email("large");
        let writers: Vec<String> = (1..=WRITERS)
            .map(|number| email(&format!("writer-{number}")))
            .collect();
        let database = database::connect(database_url).await?;
        let others: Vec<String> = writers.iter().chain([&large]).cloned().collect();
        add_accounts(&database, &small.email, &others).await?;
        for (email, count) in [(&small.email, SMALL), (&large, LARGE)] {
            add_entries(&database, email, count).await?;
        }
        // Here, so that Postgres does not do it during a measurement.
        database.batch_execute("vacuum analyze").await?;
        let mut users = Self {
            small,
            large: User::log_in(url, &large, PASSWORD).await?,
            writers: Vec::new(),
        };
        // One after the other: many hashes at once would raise the memory that is measured later.
        for email in &writers {
            users
                .writers
                .push(User::log_in(url, email, PASSWORD).await?);
        }
        Ok(users)
    }
}

/// Adds accounts with the password of an existing one, and with the hash that the service has computed.
pub async fn add_accounts(database: &Client, existing: &str, emails: &[String]) -> Result<()> {
    let statement = "-- users::add_accounts()
        insert into users (email, password_hash)
        select other, password_hash from users, unnest($2::text[]) as other where email = $1";
    let added = database.execute(statement, &[&existing, &emails]).await;
    added.map(drop).context("cannot add users")
}

/// Adds entries to an account, one a minute.
pub async fn add_entries(database: &Client, email: &str, count: i32) -> Result<()> {
    let statement = "-- users::add_entries()
        insert into thought_diaries
            (user_id, content, analyzed_content, positive_count, negative_count, analyzed_by, analysis_status, created_at, updated_at)
        select id, $3, $4, 1, 1, 'model', 'done', written, written
        from users, generate_series(1, $2::int) as minutes
        cross join lateral (select timestamp '2020-01-01' + make_interval(mins => minutes)) at (written)
        where email = $1";
    let marked = ENTRY
        .replace("lovely", "<span class=\"positive\">lovely</span>")
        .replace("awful", "<span class=\"negative\">awful</span>");
    let added = database
        .execute(statement, &[&email, &count, &ENTRY, &marked])
        .await;
    added.map(drop).context("cannot add entries")
}

/// Returns the email of a user of the benchmark.
pub fn email(name: &str) -> String {
    format!("{name}@thought-diary.example")
}

/// Returns the call for the first page of the list.
pub fn list(user: &User) -> Call {
    user.get("/diaries?page=1&per_page=10")
}

/// Returns the call for the statistics.
pub fn stats(user: &User) -> Call {
    user.get("/diaries/stats")
}

/// Returns the call that creates an entry with a text that the model has never seen.
pub fn create_new(user: &User) -> Call {
    user.create_diary(&format!("{UNIQUE}. {ENTRY}"))
}

/// Returns the call that creates an entry with a text whose analysis is in the cache.
pub fn create_cached(user: &User) -> Call {
    user.create_diary(ENTRY)
}

/// Returns the call that creates an entry of this length.
pub fn create_of_length(user: &User, characters: usize) -> Call {
    let content: String = ENTRY.chars().cycle().take(characters).collect();
    user.create_diary(&content)
}

/// Returns the call that logs in once more.
pub fn log_in_again(user: &User) -> Call {
    login(&user.email, PASSWORD)
}
