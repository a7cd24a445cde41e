//! Who asks in the benchmark: a user with a short history, one with a long one, and many that write.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::load::NUMBER;
use crate::client::Call;

/// Entries of the user with the short history.
pub const SMALL: i32 = 3_000;
/// Entries of the user with the long history.
pub const LARGE: i32 = 300_000;
/// Users that write. All entries of one user count in one row, which only one statement at a time can change.
const WRITERS: i32 = 64;

const PASSWORD: &str = "Bench-Diary-1";
/// An entry as people write them, with the two words that the stand-in model finds.
const ENTRY: &str = "We walked around the lake before breakfast and it was lovely, with nobody there but the herons. \
    The train home was awful: two hours late, no seat, and the heating would not stop.";

/// A user who is logged in.
pub struct Account {
    /// As in the database.
    pub id: i32,
    email: String,
    token: String,
}

impl Account {
    /// The first page of the list.
    pub fn list(&self) -> Call {
        Call::get("/diaries?page=1&per_page=10").with_token(&self.token)
    }

    /// The statistics.
    pub fn stats(&self) -> Call {
        Call::get("/diaries/stats").with_token(&self.token)
    }

    /// A new entry, each with a text of its own, as what the model said of a text is kept.
    pub fn create(&self) -> Call {
        self.write(&format!("{NUMBER}. {ENTRY}"))
    }

    /// A new entry whose text the model has marked before.
    pub fn create_known(&self) -> Call {
        self.write(ENTRY)
    }

    /// A new entry of so many characters.
    pub fn create_long(&self, characters: usize) -> Call {
        let content: String = ENTRY.chars().cycle().take(characters).collect();
        self.write(&content)
    }

    fn write(&self, content: &str) -> Call {
        Call::post("/diaries", &json!({ "content": content })).with_token(&self.token)
    }

    /// Another login.
    pub fn login(&self) -> Call {
        login(&self.email)
    }
}

/// All of them.
pub struct Accounts {
    /// Has [`SMALL`] entries.
    pub small: Account,
    /// Has [`LARGE`] entries.
    pub large: Account,
    /// Have none at first.
    pub writers: Vec<Account>,
}

/// Makes the accounts and the histories in the database, and logs everybody in at the service at `url`.
///
/// # Errors
/// When the database or the service refuses.
pub async fn make(url: &str, database: &str) -> Result<Accounts> {
    let (first, second) = (email("small"), email("large"));
    let account = json!({ "email": first, "password": PASSWORD });
    Call::post("/auth/register", &account).send(url).await?;
    let mut connection = PgConnection::connect(database).await?;
    let mut others: Vec<String> = (1..=WRITERS).map(writer).collect();
    others.push(second.clone());
    add_users(&mut connection, &first, &others).await?;
    fill(&mut connection, &first, SMALL).await?;
    fill(&mut connection, &second, LARGE).await?;
    // Now, rather than while something is measured.
    sqlx::raw_sql("vacuum analyze")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    let mut writers = Vec::new();
    for number in 1..=WRITERS {
        writers.push(log_in(url, writer(number)).await?);
    }
    Ok(Accounts {
        small: log_in(url, first).await?,
        large: log_in(url, second).await?,
        writers,
    })
}

fn email(name: &str) -> String {
    format!("{name}@thought-diary.example")
}

fn writer(number: i32) -> String {
    email(&format!("writer-{number}"))
}

fn login(email: &str) -> Call {
    let body = json!({ "email": email, "password": PASSWORD });
    Call::post("/auth/login", &body)
}

async fn log_in(url: &str, email: String) -> Result<Account> {
    let answer = login(&email).send(url).await?;
    let token = answer.get("access_token").and_then(Value::as_str);
    let id = answer.pointer("/user/id").and_then(Value::as_i64);
    Ok(Account {
        id: i32::try_from(id.context("the login names no user")?)?,
        token: token.context("the login gives no token")?.to_owned(),
        email,
    })
}

/// Gives all users the password of the first, with the hash that the service made.
async fn add_users(connection: &mut PgConnection, first: &str, emails: &[String]) -> Result<()> {
    sqlx::query(
        "-- accounts::add_users()
        insert into users (email, password_hash)
        select other, password_hash from users, unnest($2::text[]) as other where email = $1",
    )
    .bind(first)
    .bind(emails)
    .execute(connection)
    .await
    .context("cannot add users")?;
    Ok(())
}

/// Gives a user a history of one entry a minute.
async fn fill(connection: &mut PgConnection, email: &str, entries: i32) -> Result<()> {
    let marked = ENTRY
        .replace("lovely", "<span class=\"positive\">lovely</span>")
        .replace("awful", "<span class=\"negative\">awful</span>");
    sqlx::query(
        "-- accounts::fill()
        insert into thought_diaries
            (user_id, content, analyzed_content, positive_count, negative_count, analyzed_by, analysis_due_at, created_at, updated_at)
        select id, $3, $4, 1, 1, 'model', null, written, written
        from users, generate_series(1, $2) as minutes
        cross join lateral (select timestamp '2020-01-01' + make_interval(mins => minutes)) at (written)
        where email = $1",
    )
    .bind(email)
    .bind(entries)
    .bind(ENTRY)
    .bind(marked)
    .execute(connection)
    .await
    .context("cannot add entries")?;
    Ok(())
}
