//! Sample users with diaries, to look at and to try clients with.

use anyhow::{Context, Result, anyhow};

use crate::database;

mod samples;

use samples::Sample;

/// Sample users, and the number of their diaries. Addresses below `.example` belong to nobody,
/// so removing them never removes a real account.
pub const USERS: [(&str, usize); 3] = [
    ("ada@thought-diary.example", 90),
    ("ben@thought-diary.example", 24),
    ("new@thought-diary.example", 0),
];
/// The password of all sample users.
pub const PASSWORD: &str = "Sample-Diary-1";

/// Adds the users that do not exist, with their diaries, and returns their number.
///
/// # Errors
/// When the database is unreachable or refuses.
pub async fn add(url: &str) -> Result<usize> {
    let database = database::connect(url).await?;
    let hash = credentials::argon2id::hash(PASSWORD);
    let hash = hash.map_err(|error| anyhow!("the password could not be hashed: {error}"))?;
    let emails = USERS.map(|(email, _)| email);
    let diaries: Vec<(&str, Sample)> = USERS
        .iter()
        .flat_map(|(email, count)| samples::diaries(*count).map(|sample| (*email, sample)))
        .collect();
    let statement = "-- seed::add()
        with new_users as (
            insert into users (email, password_hash)
            select email, $2 from unnest($1::text[]) as email
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
        select count(*) from new_users";
    fn column<'a, T>(diaries: &'a [(&str, Sample)], value: fn(&'a Sample) -> T) -> Vec<T> {
        diaries.iter().map(|(_, sample)| value(sample)).collect()
    }
    let authors: Vec<&str> = diaries.iter().map(|(email, _)| *email).collect();
    let added = database
        .query_one(
            statement,
            &[
                &emails.as_slice(),
                &hash,
                &authors,
                &column(&diaries, |sample| &sample.content),
                &column(&diaries, |sample| &sample.html),
                &column(&diaries, |sample| sample.positive),
                &column(&diaries, |sample| sample.negative),
                &column(&diaries, |sample| sample.minutes_ago),
            ],
        )
        .await
        .context("the database refused the sample users")?;
    Ok(usize::try_from(added.get::<_, i64>(0))?)
}

/// Removes the sample users with their diaries, logins and totals, and returns their number.
///
/// # Errors
/// When the database is unreachable or refuses.
pub async fn clear(url: &str) -> Result<u64> {
    let database = database::connect(url).await?;
    let emails = USERS.map(|(email, _)| email);
    let statement = "-- seed::clear()\ndelete from users where email = any($1)";
    let removed = database.execute(statement, &[&emails.as_slice()]).await;
    removed.context("the database refused to remove the sample users")
}
