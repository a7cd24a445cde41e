//! `/diaries` and `/diaries/{id}`.

use std::collections::BTreeSet;

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Caller};
use crate::stage::Stage;

tests![
    create_answers_with_the_diary_and_where_it_is,
    create_counts_characters_after_trimming,
    create_stores_the_text_as_written,
    create_escapes_html,
    two_entries_with_one_text_are_two,
    read_tells_apart_own_others_and_none,
    update_replaces_and_analyses_again,
    update_refuses_bad_content_and_keeps_the_old,
    update_tells_apart_own_others_and_none,
    delete_removes_once_and_for_all,
    delete_tells_apart_own_others_and_none,
    an_entry_that_nobody_analysed_shows_its_escaped_text,
    writing_at_once_loses_nothing,
    deleting_one_entry_from_ten_places_deletes_it_once,
];

fn path_of(diary: &Value) -> String {
    format!("/diaries/{}", diary["id"])
}

/// The body of a page.
pub async fn list(user: &Caller, query: &str) -> Value {
    user.get(&format!("/diaries{query}"))
        .await
        .expect(200)
        .json()
}

async fn create_answers_with_the_diary_and_where_it_is(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let content = "What a lovely day, only the train was awful.";
    let before = chrono::Utc::now().timestamp_millis() - 1000;
    let answer = user
        .post("/diaries", &json!({"content": content}))
        .await
        .expect(201);
    let diary = answer.json();
    assert_eq!(answer.header("location"), Some(path_of(&diary).as_str()));
    assert_eq!(diary["content"], content);
    assert_eq!(diary["created_at"], diary["updated_at"]);
    let created: chrono::DateTime<chrono::Utc> = diary["created_at"]
        .as_str()
        .and_then(|time| time.parse().ok())
        .expect("a time");
    let now = chrono::Utc::now().timestamp_millis() + 1000;
    assert!(
        (before..now).contains(&created.timestamp_millis()),
        "{diary}"
    );
    assert_eq!(user.get(&path_of(&diary)).await.expect(200).json(), diary);
    assert_eq!(list(&user, "").await["items"], json!([diary]));
}

async fn create_counts_characters_after_trimming(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let refused = [
        "",
        " ",
        "123456789",
        "  123456789  ",
        "\u{3000}\n\t123456789\u{a0}",
        &" ".repeat(50),
        &"😀".repeat(9),
        &"é".repeat(5001),
        &format!(" {} ", "x".repeat(5001)),
    ];
    for content in refused {
        user.post("/diaries", &json!({"content": content}))
            .await
            .expect_invalid("content");
    }
    let taken = [
        "1234567890",
        "  1234567890  ",
        &"😀".repeat(10),
        &"é".repeat(5000),
        &format!("\n{}\n", "😀".repeat(5000)),
    ];
    for content in taken {
        assert_eq!(user.write(content).await["content"], content);
    }
    assert_eq!(list(&user, "").await["total"], taken.len());
}

async fn create_stores_the_text_as_written(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let texts = [
        "  blanks before and after  ",
        "lines\nof\r\nall\rkinds\u{2028}and tabs\t",
        "e\u{301} and é are not the same to us",
        "שלום, this goes \u{202e}the other way\u{202c}",
        "👩‍👩‍👧‍👦 a family of one character 🏳️‍🌈",
        "\u{feff}a mark of byte order inside",
        "\u{7f}\u{1}\u{1b}[31m control characters",
        "&amp; &lt;b&gt; are entities already",
        "%s %n {} ${x} {{ jwt_secret_key }} $1 \\u0041",
        "'); drop table thought_diaries; --",
        "\u{10ffff}\u{fffd}\u{fdd0} odd but valid",
    ];
    for text in texts {
        let diary = user.write(text).await;
        assert_eq!(diary["content"], text);
        assert_eq!(user.get(&path_of(&diary)).await.json()["content"], text);
    }
}

async fn create_escapes_html(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let texts = [
        "<script>alert('lovely')</script> & so on",
        "<img src=x onerror=\"alert(1)\"> a lovely picture",
        "<span class=\"positive\">awful</span> is not what it says",
        "</span></span> closes nothing, wonderful",
        "<b>lovely</b> and <i class='x'>awful</i>",
        "a < b > c & d \" e ' f lovely",
        "&lt;script&gt; stays what it is, lovely",
        "<span class=\"positive\">lovely",
        "love<b>ly</b> awful<",
    ];
    for text in texts {
        // The client checks that what is shown is exactly the text with the two spans; here that it says so.
        let diary = user.write(text).await;
        let html = diary["analyzed_content"].as_str().expect("a string");
        assert!(
            !html.contains("<script") && !html.contains("<img") && !html.contains("<b>"),
            "{html}"
        );
        assert_eq!(
            crate::html::read(html).map(|marked| marked.text),
            Ok(text.to_owned())
        );
    }
}

async fn two_entries_with_one_text_are_two(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let first = user.write("The same procedure as every day.").await;
    let second = user.write("The same procedure as every day.").await;
    assert_ne!(first["id"], second["id"]);
}

/// Calls an own entry, one of somebody else and one that does not exist.
async fn three_ways(stage: &Stage, method: Method) -> [Answer; 3] {
    let (ann, bob) = (
        stage.shared.service.user().await,
        stage.shared.service.user().await,
    );
    let (own, others) = (
        ann.write("An entry of my own.").await,
        bob.write("An entry of somebody else.").await,
    );
    let call = async |path: String| {
        ann.call(method.clone(), &path)
            .json(&json!({"content": "Written over it."}))
            .send()
            .await
    };
    let answers = [
        call(path_of(&own)).await,
        call(path_of(&others)).await,
        call("/diaries/2147483647".to_owned()).await,
    ];
    assert_eq!(
        bob.get(&path_of(&others)).await.expect(200).json(),
        others,
        "it is as it was"
    );
    answers
}

async fn read_tells_apart_own_others_and_none(stage: &Stage) {
    let [own, others, none] = three_ways(stage, Method::GET).await;
    own.expect(200);
    others.expect_error(403, "forbidden");
    none.expect_error(404, "not_found");
}

async fn update_tells_apart_own_others_and_none(stage: &Stage) {
    let [own, others, none] = three_ways(stage, Method::PUT).await;
    assert_eq!(own.expect(200).json()["content"], "Written over it.");
    others.expect_error(403, "forbidden");
    none.expect_error(404, "not_found");
}

async fn delete_tells_apart_own_others_and_none(stage: &Stage) {
    let [own, others, none] = three_ways(stage, Method::DELETE).await;
    own.expect(204);
    others.expect_error(403, "forbidden");
    none.expect_error(404, "not_found");
}

async fn update_replaces_and_analyses_again(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let before = user.write("Simply a lovely morning.").await;
    assert_eq!(before["sentiment"], "positive");
    let answer = user
        .put(
            &path_of(&before),
            &json!({"content": "Then a dreadful evening."}),
        )
        .await
        .expect(200);
    let after = answer.json();
    assert_eq!(after["content"], "Then a dreadful evening.");
    assert_eq!(
        (&after["sentiment"], &after["negative_count"]),
        (&json!("negative"), &json!(1))
    );
    assert_eq!(
        (&after["id"], &after["created_at"]),
        (&before["id"], &before["created_at"])
    );
    assert!(
        after["updated_at"].as_str() > before["updated_at"].as_str(),
        "{after}"
    );
    assert_eq!(user.get(&path_of(&before)).await.json(), after);
}

async fn update_refuses_bad_content_and_keeps_the_old(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let diary = user.write("A text that is to stay.").await;
    for content in [
        json!("too short"),
        json!("x".repeat(5001)),
        json!(null),
        json!(7),
    ] {
        user.put(&path_of(&diary), &json!({"content": content}))
            .await
            .expect_invalid("content");
    }
    assert_eq!(user.get(&path_of(&diary)).await.json(), diary);
}

async fn delete_removes_once_and_for_all(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let [gone, kept] = [
        user.write("An entry to be deleted.").await,
        user.write("An entry to be kept.").await,
    ];
    let answer = user.delete(&path_of(&gone)).await.expect(204);
    assert!(answer.body.is_empty());
    user.get(&path_of(&gone))
        .await
        .expect_error(404, "not_found");
    user.delete(&path_of(&gone))
        .await
        .expect_error(404, "not_found");
    user.put(&path_of(&gone), &json!({"content": "Come back to life!"}))
        .await
        .expect_error(404, "not_found");
    assert_eq!(list(&user, "").await["items"], json!([kept]));
}

async fn an_entry_that_nobody_analysed_shows_its_escaped_text(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let database = stage.shared.database().await;
    let statement = "insert into thought_diaries (user_id, content, analyzed_content)
        values ($1, $2, '<script>alert(1)</script>') returning id";
    let content = "<b>\"Tom\" & 'Jerry'</b> &amp; others";
    let row = database
        .query_one(statement, &[&user.login().user_id, &content])
        .await
        .expect("inserts");
    let diary = user
        .get(&format!("/diaries/{}", row.get::<_, i32>(0)))
        .await
        .expect(200)
        .json();
    assert_eq!(
        diary["analyzed_content"],
        "&lt;b&gt;&quot;Tom&quot; &amp; &#39;Jerry&#39;&lt;/b&gt; &amp;amp; others"
    );
    assert_eq!(
        (
            &diary["analyzed_by"],
            &diary["positive_count"],
            &diary["sentiment"]
        ),
        (&json!(null), &json!(0), &json!("neutral"))
    );
}

async fn writing_at_once_loses_nothing(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let texts: BTreeSet<String> = (0..40)
        .map(|number| format!("Written at once, number {number}."))
        .collect();
    let written = join_all(texts.iter().map(|text| user.write(text))).await;
    let different: BTreeSet<i64> = written
        .iter()
        .filter_map(|diary| diary["id"].as_i64())
        .collect();
    assert_eq!(different.len(), texts.len());
    let page = list(&user, "?per_page=100").await;
    let items = page["items"].as_array().expect("a list");
    let listed: BTreeSet<String> = items
        .iter()
        .filter_map(|diary| Some(diary["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!((listed, &page["total"]), (texts, &json!(40)));
}

async fn deleting_one_entry_from_ten_places_deletes_it_once(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let path = path_of(&user.write("Everybody wants this gone.").await);
    let answers = join_all((0..10).map(|_| user.delete(&path))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404, 404, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(list(&user, "").await["total"], 0);
}
