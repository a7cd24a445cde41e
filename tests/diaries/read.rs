//! `GET /diaries/{id}`.

use macro_rules_attribute::apply;

use crate::support::client::entry_path;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn returns_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let own = ann.create_entry("An entry of Ann.").await;
    let other = bob.create_entry("An entry of Bob.").await;
    assert_eq!(ann.read_entry(&own).await, own);
    let response = ann.get(&entry_path(&other)).await;
    response.expect_error(403, "forbidden");
    let response = ann.get("/diaries/2147483647").await;
    response.expect_error(404, "not_found");
}

#[apply(e2e_test!)]
async fn returns_the_escaped_content_of_an_entry_without_analysis(env: &TestEnv) {
    let user = env.user().await;
    let database = env.shared.database().await;
    let statement = "insert into thought_diaries (user_id, content, analyzed_content)
        values ($1, $2, '<script>alert(1)</script>') returning id";
    let content = "<b>\"Tom\" & 'Jerry'</b> &amp; others";
    let user_id = user.session().user_id;
    let id: i32 = database.value(statement, &[&user_id, &content]).await;
    let response = user.get(&format!("/diaries/{id}")).await;
    let entry = response.expect_status(200).json();
    let escaped = "&lt;b&gt;&quot;Tom&quot; &amp; &#39;Jerry&#39;&lt;/b&gt; &amp;amp; others";
    assert_eq!(entry["analyzed_content"], escaped);
    assert!(entry["analyzed_by"].is_null(), "{entry}");
    assert_eq!(entry["positive_count"], 0);
    assert_eq!(entry["sentiment"], "neutral");
}
