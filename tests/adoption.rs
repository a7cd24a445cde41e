//! The database of the service we replace, adopted in place; and the way back and forth.

use serde_json::json;

use crate::client::PASSWORD;
use crate::stage::{Instance, Stage, database};

tests![
    a_database_of_the_replaced_service_is_adopted,
    migrating_up_from_two_places_at_once_is_safe,
    migrating_down_and_up_again_keeps_every_row,
    migrating_down_on_an_empty_database_leaves_nothing,
    the_tables_have_the_columns_of_the_replaced_service,
];

/// Tables as SQLAlchemy makes them, with the rows of two users. The hash is bcrypt's of [`PASSWORD`].
const REPLACED: &str = r#"
    create table users (
        id serial primary key, email varchar(255) not null, password_hash varchar(255) not null,
        created_at timestamp, updated_at timestamp
    );
    create unique index ix_users_email on users (email);
    create table thought_diaries (
        id serial primary key, user_id integer not null references users (id), content text not null,
        analyzed_content text, positive_count integer, negative_count integer,
        created_at timestamp, updated_at timestamp
    );
    insert into users (id, email, password_hash, created_at, updated_at) values
        (7, 'old@example.com', '$2b$12$abcdefghijklmnopqrstuuVnilgEP4HmrELfhxdikttFyCImGISEe', '2024-05-06 07:08:09.123456', '2024-05-06 07:08:09'),
        (8, 'other@example.com', 'nonsense', null, null);
    insert into thought_diaries (id, user_id, content, analyzed_content, positive_count, negative_count, created_at, updated_at) values
        (11, 7, 'A lovely day, & so on.', 'A <span class="positive">lovely</span> day, &amp; so on.', 1, 0, '2024-06-01 10:00:00', '2024-06-01 10:00:00'),
        (12, 7, 'An awful <b>day</b>.', 'An <span class="negative">awful</span> <b>day</b>.', 0, 1, '2024-06-02 10:00:00', null),
        (13, 7, 'Nothing to see here.', '<script>alert(1)</script>', 5, 0, '2024-06-03 10:00:00', '2024-06-03 10:00:00'),
        (14, 7, 'Never analysed at all.', null, null, null, '2024-06-04 10:00:00', '2024-06-04 10:00:00'),
        (15, 7, 'A sad and awful end.', 'A <span class="negative">sad</span> and <span class="negative">awful</span> end.', 9, 9, '2024-06-05 10:00:00', '2024-06-05 10:00:00'),
        (16, 7, 'Other words than these.', 'Words of the <span class="positive">model</span>.', 1, 0, '2024-06-06 10:00:00', '2024-06-06 10:00:00'),
        (17, 7, 'Nested marks are odd.', '<span class="positive">Nested <span class="negative">marks</span></span> are odd.', 1, 1, '2024-06-07 10:00:00', '2024-06-07 10:00:00'),
        (18, 7, 'An attribute too many.', 'An <span class="positive" onclick="x()">attribute</span> too many.', 1, 0, '2024-06-08 10:00:00', '2024-06-08 10:00:00'),
        (19, 8, 'Somebody else''s entry.', null, null, null, null, null);
"#;

async fn replaced_database(stage: &Stage) -> String {
    let url = stage.empty_database().await;
    database(&url)
        .await
        .batch_execute(REPLACED)
        .await
        .expect("the old tables are made");
    url
}

async fn a_database_of_the_replaced_service_is_adopted(stage: &Stage) {
    let url = replaced_database(stage).await;
    let (one, two) = tokio::join!(testbed::migrate::up(&url), testbed::migrate::up(&url));
    one.and(two)
        .expect("it is adopted, from two places at once");
    let instance = stage.instance(&url, &stage.fresh_redis(), &[]).await;
    check_login(&instance).await;
    check_diaries(&instance).await;
    check_new_rows(&instance).await;
    instance.app.stop().await;
}

async fn check_login(instance: &Instance) {
    let anonymous = instance.service.anonymous();
    let wrong = json!({"email": "old@example.com", "password": "Passw0rd?"});
    anonymous
        .post("/auth/login", &wrong)
        .await
        .expect_error(401, "invalid_credentials");
    let broken = json!({"email": "other@example.com", "password": "nonsense"});
    anonymous
        .post("/auth/login", &broken)
        .await
        .expect_error(401, "invalid_credentials");
    let user = anonymous.log_in("old@example.com", PASSWORD).await;
    assert_eq!(user.login().user_id, 7);
    let me = user.get("/auth/me").await.expect(200).json();
    assert_eq!(me["created_at"], "2024-05-06T07:08:09.123Z");
    let database = instance.database().await;
    let row = database
        .query_one("select password_hash from users where id = 7", &[])
        .await
        .expect("is there");
    assert!(
        row.get::<_, String>(0).starts_with("$argon2id$"),
        "the old hash is replaced at the first login"
    );
    anonymous
        .log_in("old@example.com", PASSWORD)
        .await
        .get("/auth/me")
        .await
        .expect(200);
}

async fn check_diaries(instance: &Instance) {
    let user = instance
        .service
        .anonymous()
        .log_in("old@example.com", PASSWORD)
        .await;
    // The client checks that every one is safe and counted right.
    let list = user.get("/diaries?per_page=100").await.expect(200).json();
    let items = list["items"].as_array().expect("a list").clone();
    let mut shown = Vec::new();
    for diary in &items {
        shown.push((
            diary["id"].as_i64().unwrap_or_default(),
            diary["analyzed_by"].as_str(),
            diary["sentiment"].as_str().unwrap_or_default(),
        ));
    }
    let expected = [
        (18, None, "neutral"),
        (17, None, "neutral"),
        (16, None, "neutral"),
        (15, Some("model"), "negative"),
        (14, None, "neutral"),
        (13, None, "neutral"),
        (12, None, "neutral"),
        (11, Some("model"), "positive"),
    ];
    assert_eq!(shown, expected);
    let stats = user.get("/diaries/stats").await.expect(200).json();
    assert_eq!(
        stats,
        json!({"total_entries": 8, "positive_entries": 1, "negative_entries": 1, "neutral_entries": 6})
    );
    user.get("/diaries/19").await.expect_error(403, "forbidden");
    user.put(
        "/diaries/13",
        &json!({"content": "Analysed again, a lovely thing."}),
    )
    .await
    .expect(200);
    let stats = user.get("/diaries/stats").await.expect(200).json();
    assert_eq!(
        stats,
        json!({"total_entries": 8, "positive_entries": 2, "negative_entries": 1, "neutral_entries": 5})
    );
}

/// Ids go on where the old ones ended, though those were given by hand.
async fn check_new_rows(instance: &Instance) {
    let user = instance.service.user().await;
    assert!(user.login().user_id > 8, "{:?}", user.login().user_id);
    let diary = user.write("The first entry of a new user.").await;
    assert!(diary["id"].as_i64() > Some(19), "{diary}");
    let again = json!({"email": "OLD@example.com", "password": PASSWORD});
    user.anonymous()
        .post("/auth/register", &again)
        .await
        .expect_error(400, "user_exists");
    let database = instance.database().await;
    database
        .execute("delete from users where id = 8", &[])
        .await
        .expect("deleting a user deletes the diaries");
}

async fn migrating_up_from_two_places_at_once_is_safe(stage: &Stage) {
    let url = stage.empty_database().await;
    let all = futures::future::join_all((0..4).map(|_| testbed::migrate::up(&url))).await;
    for outcome in all {
        outcome.expect("each waits for the others");
    }
    testbed::migrate::up(&url)
        .await
        .expect("and once more changes nothing");
    let steps = testbed::migrate::status(&url).await.expect("is told");
    assert!(
        steps
            .iter()
            .all(|step| step.state == testbed::migrate::State::Applied),
        "{steps:?}"
    );
    assert!(!steps.is_empty());
}

async fn migrating_down_and_up_again_keeps_every_row(stage: &Stage) {
    let url = replaced_database(stage).await;
    let client = database(&url).await;
    let rows = "select (select count(*) from users), (select count(*) from thought_diaries),
        (select string_agg(id || content, ',' order by id) from thought_diaries)";
    let before = client.query_one(rows, &[]).await.expect("counts");
    testbed::migrate::up(&url).await.expect("it goes up");
    let steps = testbed::migrate::status(&url).await.expect("is told").len();
    for _ in 0..steps {
        testbed::migrate::down(&url, None)
            .await
            .expect("every step goes down");
    }
    testbed::migrate::up(&url).await.expect("and up again");
    let after = client.query_one(rows, &[]).await.expect("counts");
    let read = |row: &tokio_postgres::Row| {
        (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, String>(2),
        )
    };
    assert_eq!(read(&before), read(&after));
}

async fn migrating_down_on_an_empty_database_leaves_nothing(stage: &Stage) {
    let url = stage.empty_database().await;
    testbed::migrate::up(&url).await.expect("it goes up");
    let steps = testbed::migrate::status(&url).await.expect("is told").len();
    testbed::migrate::down(&url, Some(steps))
        .await
        .expect("it goes down");
    let left = "select string_agg(table_name, ', ') from information_schema.tables
        where table_schema = 'public' and table_name not like '\\_sqlx%'";
    let row = database(&url)
        .await
        .query_one(left, &[])
        .await
        .expect("is told");
    assert_eq!(row.get::<_, Option<String>>(0), None);
}

async fn the_tables_have_the_columns_of_the_replaced_service(stage: &Stage) {
    let columns = "select string_agg(column_name || ' ' || udt_name || coalesce(' ' || character_maximum_length, ''), ', ' order by ordinal_position)
        from information_schema.columns where table_name = $1";
    let client = stage.shared.database().await;
    for (table, expected) in [
        (
            "users",
            "id int4, email varchar 255, password_hash varchar 255, created_at timestamp, updated_at timestamp",
        ),
        (
            "thought_diaries",
            "id int4, user_id int4, content text, analyzed_content text, positive_count int4, negative_count int4, \
             created_at timestamp, updated_at timestamp",
        ),
    ] {
        let found: String = client
            .query_one(columns, &[&table])
            .await
            .expect("is told")
            .get(0);
        assert!(found.starts_with(expected), "{table}: {found}");
    }
}
