//! `POST /diaries`.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{entry_path, items};
use crate::support::env::TestEnv;
use crate::support::marked_text::parse;
use crate::support::registry::e2e_test;
use crate::support::time::assert_just_now;

#[apply(e2e_test!)]
async fn returns_the_entry_and_its_location(env: &TestEnv) {
    let user = env.user().await;
    let content = "What a lovely day, only the train was awful.";
    let response = user.post("/diaries", &json!({"content": content})).await;
    let response = response.expect_status(201);
    let entry = response.json();
    let path = entry_path(&entry);
    assert_eq!(response.header("location"), Some(path.as_str()));
    assert_eq!(entry["content"], content);
    assert_eq!(entry["created_at"], entry["updated_at"]);
    assert_just_now(&entry["created_at"]);
    assert_eq!(user.read_entry(&entry).await, entry);
    assert_eq!(user.list("").await["items"], json!([entry]));
}

#[apply(e2e_test!)]
async fn accepts_10_to_5000_characters_after_trimming(env: &TestEnv) {
    let user = env.user().await;
    let invalid = [
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
    for content in invalid {
        let response = user.post("/diaries", &json!({"content": content})).await;
        response.expect_invalid(&["content"]);
    }
    let valid = [
        "1234567890",
        "  1234567890  ",
        &"😀".repeat(10),
        &"é".repeat(5000),
        &format!("\n{}\n", "😀".repeat(5000)),
    ];
    for content in valid {
        assert_eq!(user.create_entry(content).await["content"], content);
    }
    assert_eq!(user.list("").await["total"], valid.len());
}

#[apply(e2e_test!)]
async fn stores_the_content_as_written(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
        "  spaces before and after  ",
        "lines\nof\r\nall\rkinds\u{2028}and tabs\t",
        "e\u{301} and é are not normalized",
        "שלום, this goes \u{202e}the other way\u{202c}",
        "👩‍👩‍👧‍👦 several code points in one character 🏳️‍🌈",
        "\u{feff}a byte order mark inside",
        "\u{7f}\u{1}\u{1b}[31m control characters",
        "&amp; &lt;b&gt; are entities already",
        "%s %n {} ${x} {{ jwt_secret_key }} $1 \\u0041",
        "'); drop table thought_diaries; --",
        "\u{10ffff}\u{fffd}\u{fdd0} unusual but valid",
    ];
    for content in contents {
        let entry = user.create_entry(content).await;
        assert_eq!(entry["content"], content);
        assert_eq!(user.read_entry(&entry).await, entry);
    }
}

#[apply(e2e_test!)]
async fn escapes_html(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
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
    for content in contents {
        let entry = user.create_entry(content).await;
        let html = entry["analyzed_content"].as_str().expect("a string");
        let text = parse(html).map(|marked| marked.text);
        assert_eq!(text.as_deref(), Ok(content));
    }
    let entry = user.create_entry(contents[0]).await;
    let expected = "&lt;script&gt;alert(&#39;<span class=\"positive\">lovely</span>&#39;)\
        &lt;/script&gt; &amp; so on";
    assert_eq!(entry["analyzed_content"], expected);
}

#[apply(e2e_test!)]
async fn creates_two_entries_of_the_same_content(env: &TestEnv) {
    let user = env.user().await;
    let content = "The same procedure as every day.";
    let first = user.create_entry(content).await;
    let second = user.create_entry(content).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!(user.list("").await["items"], json!([second, first]));
}

#[apply(e2e_test!)]
async fn ignores_unknown_fields(env: &TestEnv) {
    let (user, other) = (env.user().await, env.user().await);
    let content = "An entry with more fields than the service knows.";
    let plain = user.create_entry(content).await;
    let body = json!({
        "content": content,
        "id": 1,
        "user_id": other.session().user_id,
        "positive_count": 99,
        "analyzed_content": "<script>alert(1)</script>",
        "analyzed_by": "lexicon",
        "created_at": "2000-01-01T00:00:00.000Z",
        "__proto__": {"admin": true},
    });
    let response = user.post("/diaries", &body).await;
    let entry = response.expect_status(201).json();
    for field in [
        "content",
        "positive_count",
        "analyzed_content",
        "analyzed_by",
    ] {
        assert_eq!(entry[field], plain[field], "{field}");
    }
    assert!(entry["created_at"].as_str() >= plain["created_at"].as_str());
    assert_eq!(items(&user.list("").await), [entry, plain]);
    assert_eq!(other.list("").await["total"], 0);
}
