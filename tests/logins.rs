//! `POST /auth/refresh`, `POST /auth/logout`, `GET /auth/me`, and what a login is worth while it lives.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Caller, PASSWORD};
use crate::stage::Stage;

tests![
    me_answers_with_the_account,
    refresh_gives_an_access_token_that_works_and_keeps_the_refresh_token,
    logout_kills_both_tokens_at_once,
    logout_kills_the_tokens_that_refresh_gave,
    logout_leaves_other_logins_alone,
    logout_twice_is_refused,
    logout_holds_at_once_on_another_instance,
    an_expired_login_is_refused,
    login_clears_away_expired_logins,
    a_deleted_user_is_logged_out_and_leaves_no_diaries,
];

async fn refresh(caller: &Caller) -> Answer {
    let token = &caller.login().refresh_token;
    caller
        .call(Method::POST, "/auth/refresh")
        .bearer(token)
        .send()
        .await
}

async fn log_out(caller: &Caller) -> Answer {
    caller.call(Method::POST, "/auth/logout").send().await
}

async fn me_answers_with_the_account(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let body = user.get("/auth/me").await.expect(200).json();
    assert_eq!(body["id"], user.login().user_id);
    assert_eq!(body["email"], user.login().email);
}

async fn refresh_gives_an_access_token_that_works_and_keeps_the_refresh_token(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for _ in 0..2 {
        let body = refresh(&user).await.expect(200).json();
        assert_eq!(
            (&body["token_type"], &body["expires_in"]),
            (&json!("Bearer"), &json!(900))
        );
        let token = body["access_token"].as_str().expect("a token");
        let me = user
            .call(Method::GET, "/auth/me")
            .bearer(token)
            .send()
            .await
            .expect(200);
        assert_eq!(me.json()["id"], user.login().user_id);
    }
    user.get("/auth/me").await.expect(200);
}

async fn logout_kills_both_tokens_at_once(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let diary = user.write("Something to be read later.").await;
    log_out(&user).await.expect(200);
    for path in [
        "/auth/me",
        "/diaries",
        "/diaries/stats",
        &format!("/diaries/{}", diary["id"]),
    ] {
        user.get(path).await.expect_error(401, "token_revoked");
    }
    let draft = json!({"content": "This must not be stored."});
    user.post("/diaries", &draft)
        .await
        .expect_error(401, "token_revoked");
    let path = format!("/diaries/{}", diary["id"]);
    user.put(&path, &draft)
        .await
        .expect_error(401, "token_revoked");
    user.delete(&path).await.expect_error(401, "token_revoked");
    refresh(&user).await.expect_error(401, "token_revoked");
    let again = user.log_in(&user.login().email, PASSWORD).await;
    let list = again.get("/diaries").await.expect(200).json();
    assert_eq!(list["items"], json!([diary]));
}

async fn logout_kills_the_tokens_that_refresh_gave(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let body = refresh(&user).await.expect(200).json();
    let token = body["access_token"].as_str().expect("a token");
    log_out(&user).await.expect(200);
    let answer = user
        .call(Method::GET, "/auth/me")
        .bearer(token)
        .send()
        .await;
    answer.expect_error(401, "token_revoked");
}

async fn logout_leaves_other_logins_alone(stage: &Stage) {
    let phone = stage.shared.service.user().await;
    let laptop = phone.log_in(&phone.login().email, PASSWORD).await;
    log_out(&phone).await.expect(200);
    laptop.get("/auth/me").await.expect(200);
    refresh(&laptop).await.expect(200);
}

async fn logout_twice_is_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    log_out(&user).await.expect(200);
    log_out(&user).await.expect_error(401, "token_revoked");
}

async fn logout_holds_at_once_on_another_instance(stage: &Stage) {
    let here = stage.shared.service.user().await;
    let there = here.at(&stage.second().await.service);
    there.get("/auth/me").await.expect(200);
    there.get("/diaries").await.expect(200);
    log_out(&here).await.expect(200);
    there
        .get("/auth/me")
        .await
        .expect_error(401, "token_revoked");
    there
        .get("/diaries")
        .await
        .expect_error(401, "token_revoked");
    refresh(&there).await.expect_error(401, "token_revoked");
}

async fn an_expired_login_is_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    expire_logins(stage, &user).await;
    user.get("/auth/me")
        .await
        .expect_error(401, "token_revoked");
    user.get("/diaries")
        .await
        .expect_error(401, "token_revoked");
    refresh(&user).await.expect_error(401, "token_revoked");
}

async fn expire_logins(stage: &Stage, user: &Caller) {
    let database = stage.shared.database().await;
    let statement = "update sessions set expires_at = (now() at time zone 'utc') - interval '1 second' where user_id = $1";
    let expired = database.execute(statement, &[&user.login().user_id]).await;
    assert_eq!(expired.expect("is carried out"), 1);
}

async fn login_clears_away_expired_logins(stage: &Stage) {
    let user = stage.shared.service.user().await;
    expire_logins(stage, &user).await;
    user.log_in(&user.login().email, PASSWORD).await;
    let database = stage.shared.database().await;
    let count = "select count(*) from sessions where user_id = $1";
    let row = database
        .query_one(count, &[&user.login().user_id])
        .await
        .expect("counts");
    assert_eq!(row.get::<_, i64>(0), 1, "only the new login is left");
}

async fn a_deleted_user_is_logged_out_and_leaves_no_diaries(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let id = user.login().user_id;
    user.write("Soon to be gone with its writer.").await;
    let database = stage.shared.database().await;
    database
        .execute("delete from users where id = $1", &[&id])
        .await
        .expect("is deleted");
    user.get("/diaries")
        .await
        .expect_error(401, "token_revoked");
    refresh(&user).await.expect_error(401, "token_revoked");
    let count = "select (select count(*) from thought_diaries where user_id = $1)
        + (select count(*) from user_stats where user_id = $1) + (select count(*) from sessions where user_id = $1)";
    let row = database.query_one(count, &[&id]).await.expect("counts");
    assert_eq!(row.get::<_, i64>(0), 0);
}
