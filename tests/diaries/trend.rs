//! `GET /diaries/stats/trend`.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, items, totals};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

/// Inserts entries that were created at these times, in UTC. The sign of the number is the sentiment.
async fn insert(env: &TestEnv, user: &Client, entries: &[(&str, i32)]) {
    let database = env.shared.database().await;
    let id = user.session().user_id;
    for (time, sentiment) in entries {
        let statement = format!(
            "insert into thought_diaries
                (user_id, content, created_at, positive_count, negative_count, analyzed_by, analyzed_content)
            values ($1, 'An entry.', '{time}', $2, $3, 'model', 'An entry.')"
        );
        let (positive, negative) = (sentiment.max(&0), -sentiment.min(&0));
        database
            .execute(&statement, &[&id, positive, &negative])
            .await;
    }
}

async fn trend(user: &Client, query: &str) -> Value {
    let response = user.get(&format!("/diaries/stats/trend?{query}")).await;
    response.expect_status(200).json()
}

/// Returns a period of the response.
fn period(start: &str, total: usize, positive: usize, negative: usize) -> Value {
    let neutral = total - positive - negative;
    let mut period = totals(total, positive, negative, neutral);
    period["start"] = start.into();
    period
}

#[apply(e2e_test!)]
async fn counts_entries_per_day_with_the_days_without_any(env: &TestEnv) {
    let user = env.user().await;
    let entries = [
        ("2025-12-31 23:59:59.999", 1),
        ("2026-01-01 00:00:00", 1),
        ("2026-01-01 12:00:00", -1),
        ("2026-01-03 08:00:00", 0),
        ("2026-01-03 23:59:59.999", 2),
        ("2026-01-04 00:00:00", 1),
    ];
    insert(env, &user, &entries).await;
    let expected = json!({
        "interval": "day",
        "tz": "UTC",
        "items": [
            period("2026-01-01", 2, 1, 1),
            period("2026-01-02", 0, 0, 0),
            period("2026-01-03", 2, 1, 0),
        ],
    });
    let query = "from=2026-01-01&to=2026-01-03";
    assert_eq!(trend(&user, query).await, expected);
    let explicit = format!("interval=day&tz=UTC&{query}");
    assert_eq!(trend(&user, &explicit).await, expected);
}

#[apply(e2e_test!)]
async fn counts_entries_per_week_from_monday(env: &TestEnv) {
    let user = env.user().await;
    // 2026-01-05 is a Monday.
    let entries = [
        ("2026-01-04 23:00:00", 1),
        ("2026-01-05 00:00:00", -1),
        ("2026-01-11 23:00:00", 0),
        ("2026-01-20 12:00:00", 1),
    ];
    insert(env, &user, &entries).await;
    let trend = trend(&user, "interval=week&from=2026-01-03&to=2026-01-21").await;
    let expected = [
        period("2025-12-29", 1, 1, 0),
        period("2026-01-05", 2, 0, 1),
        period("2026-01-12", 0, 0, 0),
        period("2026-01-19", 1, 1, 0),
    ];
    assert_eq!(items(&trend), expected);
}

#[apply(e2e_test!)]
async fn counts_entries_per_month(env: &TestEnv) {
    let user = env.user().await;
    let entries = [
        ("2026-01-31 23:00:00", 1),
        ("2026-02-28 23:00:00", -1),
        ("2026-04-01 00:00:00", 0),
    ];
    insert(env, &user, &entries).await;
    let trend = trend(&user, "interval=month&from=2026-01-31&to=2026-04-01").await;
    let expected = [
        period("2026-01-01", 1, 1, 0),
        period("2026-02-01", 1, 0, 1),
        period("2026-03-01", 0, 0, 0),
        period("2026-04-01", 1, 0, 0),
    ];
    assert_eq!(items(&trend), expected);
}

#[apply(e2e_test!)]
async fn begins_days_at_midnight_in_the_time_zone(env: &TestEnv) {
    let user = env.user().await;
    let entries = [
        // Midnight in Berlin is 23:00 in winter and 22:00 in summer. On 2026-03-29 the clock goes forward.
        ("2026-03-28 22:59:59", 1),
        ("2026-03-28 23:00:00", 1),
        ("2026-03-29 21:59:59", 1),
        ("2026-03-29 22:00:00", 1),
    ];
    insert(env, &user, &entries).await;
    let query = "from=2026-03-28&to=2026-03-30&tz";
    let berlin = trend(&user, &format!("{query}=Europe/Berlin")).await;
    assert_eq!(berlin["tz"], "Europe/Berlin");
    let expected = [
        period("2026-03-28", 1, 1, 0),
        period("2026-03-29", 2, 2, 0),
        period("2026-03-30", 1, 1, 0),
    ];
    assert_eq!(items(&berlin), expected);
    let honolulu = trend(&user, &format!("{query}=Pacific/Honolulu")).await;
    let expected = [
        period("2026-03-28", 2, 2, 0),
        period("2026-03-29", 2, 2, 0),
        period("2026-03-30", 0, 0, 0),
    ];
    assert_eq!(items(&honolulu), expected);
}

#[apply(e2e_test!)]
async fn has_30_periods_up_to_today_by_default(env: &TestEnv) {
    let user = env.user().await;
    let before = chrono::Utc::now().date_naive().to_string();
    user.create_entry("A lovely day at the lake.").await;
    let trend = trend(&user, "").await;
    let after = chrono::Utc::now().date_naive().to_string();
    let periods = items(&trend);
    assert_eq!(periods.len(), 30);
    let last = &periods[29];
    assert!([before, after].iter().any(|today| last["start"] == **today));
    let counted = periods
        .iter()
        .map(|period| period["total_entries"].as_u64());
    assert_eq!(counted.sum::<Option<u64>>(), Some(1));
}

#[apply(e2e_test!)]
async fn counts_own_entries_in_active_sessions_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    insert(env, &bob, &[("2026-01-01 12:00:00", 1)]).await;
    let query = "from=2026-01-01&to=2026-01-01";
    let trend = trend(&ann, query).await;
    assert_eq!(items(&trend), [period("2026-01-01", 0, 0, 0)]);
    ann.log_out().await.expect_status(200);
    let response = ann.get("/diaries/stats/trend").await;
    response.expect_error(401, "token_revoked");
}

#[apply(e2e_test!)]
async fn rejects_invalid_values(env: &TestEnv) {
    let user = env.user().await;
    for (query, field) in [
        ("interval=year", "interval"),
        ("interval=Day", "interval"),
        ("from=yesterday", "from"),
        ("from=2026-01-02&to=2026-01-01", "from"),
        ("from=2000-01-01&to=2026-01-01", "from"),
        ("to=2026-02-30", "to"),
        ("to=0099-12-31", "to"),
        ("to=2026-01-01T00:00:00Z", "to"),
        ("tz=Mars/Phobos", "tz"),
        ("tz=", "tz"),
        ("tz=Europe/Berlin%00", "tz"),
        ("tz='", "tz"),
    ] {
        let response = user.get(&format!("/diaries/stats/trend?{query}")).await;
        response.expect_invalid(&[field]);
    }
    for query in [
        "interval=month&to=0100-01-01",
        "from=9999-12-31&to=9999-12-31",
    ] {
        trend(&user, query).await;
    }
}
