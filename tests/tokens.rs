//! Forged, swapped, expired, unsigned and damaged tokens at every protected route.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::client::{Answer, Caller};
use crate::stage::{JWT_KEY, Stage};

tests![
    tokens_are_hs256_and_live_as_long_as_promised,
    every_protected_route_asks_for_a_token,
    every_protected_route_refuses_forged_tokens,
    every_protected_route_says_when_a_token_has_expired,
    a_token_of_our_own_making_opens_the_door,
    an_access_token_is_no_refresh_token_and_the_reverse,
    a_login_of_somebody_else_is_refused,
    a_token_is_read_from_one_authorization_header_only,
];

/// All but refresh, which takes the other kind of token.
const PROTECTED: [(Method, &str); 8] = [
    (Method::GET, "/auth/me"),
    (Method::POST, "/auth/logout"),
    (Method::GET, "/diaries"),
    (Method::POST, "/diaries"),
    (Method::GET, "/diaries/stats"),
    (Method::GET, "/diaries/1"),
    (Method::PUT, "/diaries/1"),
    (Method::DELETE, "/diaries/1"),
];

async fn knock(
    caller: &Caller,
    (method, path): (Method, &str),
    authorization: Option<&str>,
) -> Answer {
    let call = caller.call(method, path).without("authorization");
    let call = match authorization {
        Some(value) => call.header("authorization", value),
        None => call,
    };
    call.json(&json!({"content": "Nobody may write this."}))
        .send()
        .await
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let part = token
        .split('.')
        .nth(index)
        .expect("a token has three parts");
    serde_json::from_slice(&BASE64.decode(part).expect("base64")).expect("JSON")
}

/// A token signed by hand, so that whatever is wrong with it is wrong on purpose.
fn sign(algorithm: &str, key: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"}).to_string();
    let message = format!(
        "{}.{}",
        BASE64.encode(header),
        BASE64.encode(claims.to_string())
    );
    let signature = match algorithm {
        "HS384" => mac::<Hmac<Sha384>>(key, &message),
        "HS512" => mac::<Hmac<Sha512>>(key, &message),
        _ => mac::<Hmac<Sha256>>(key, &message),
    };
    format!("{message}.{}", BASE64.encode(signature))
}

fn mac<M: Mac + KeyInit>(key: &str, message: &str) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key.as_bytes()).expect("any key will do");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// With one claim changed, or removed where the value is null.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().expect("claims are an object");
    match value {
        Value::Null => fields.remove(name),
        value => fields.insert(name.to_owned(), value),
    };
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}.",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims.to_string())
    )
}

async fn tokens_are_hs256_and_live_as_long_as_promised(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for (token, lifetime) in [
        (&user.login().access_token, 900),
        (&user.login().refresh_token, 7 * 24 * 3600),
    ] {
        assert_eq!(part(token, 0)["alg"], "HS256");
        let claims = claims(token);
        let [from, until] = ["iat", "exp"].map(|name| claims[name].as_i64().expect("a time"));
        assert_eq!(until - from, lifetime);
        assert!(
            (chrono::Utc::now().timestamp() - from).abs() < 30,
            "{claims}"
        );
        assert!(
            !claims.to_string().contains(&user.login().email),
            "a token can be read by anybody"
        );
    }
}

async fn every_protected_route_asks_for_a_token(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    let refresh = (Method::POST, "/auth/refresh");
    for route in PROTECTED.into_iter().chain([refresh]) {
        for authorization in [None, Some("Basic dXNlcjpwYXNz"), Some("Bearer"), Some("")] {
            knock(&anonymous, route.clone(), authorization)
                .await
                .expect_error(401, "unauthorized");
        }
    }
}

async fn every_protected_route_refuses_forged_tokens(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let token = &user.login().access_token;
    let good = claims(token);
    let signed = |claims: &Value| sign("HS256", JWT_KEY, claims);
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let none = json!({"alg": "none", "typ": "JWT"});
    let forged = [
        (
            "another key",
            sign("HS256", "another key, also longer than 32 bytes", &good),
        ),
        ("an empty key", sign("HS256", "", &good)),
        ("HS384", sign("HS384", JWT_KEY, &good)),
        ("HS512", sign("HS512", JWT_KEY, &good)),
        ("no algorithm", unsigned(&none, &good)),
        (
            "no algorithm, with a signature",
            format!("{}{signature}", unsigned(&none, &good)),
        ),
        (
            "an algorithm in capitals",
            unsigned(&json!({"alg": "NONE"}), &good),
        ),
        ("no signature", format!("{head}.")),
        ("two parts", head.to_owned()),
        ("a shorter signature", token[..token.len() - 4].to_owned()),
        ("a fourth part", format!("{token}.{signature}")),
        ("other claims under the signature", {
            let other = with(&good, "sub", json!("1"));
            format!(
                "{}.{}.{signature}",
                head.split('.').next().unwrap_or_default(),
                BASE64.encode(other.to_string())
            )
        }),
        ("no user", signed(&with(&good, "sub", Value::Null))),
        (
            "a user that is no number",
            signed(&with(&good, "sub", json!("admin"))),
        ),
        (
            "a user beyond 32 bits",
            signed(&with(&good, "sub", json!("99999999999"))),
        ),
        ("a number for a user", signed(&with(&good, "sub", json!(1)))),
        ("no login", signed(&with(&good, "sid", Value::Null))),
        (
            "a login that is no UUID",
            signed(&with(&good, "sid", json!("' or true --"))),
        ),
        ("no kind", signed(&with(&good, "type", Value::Null))),
        (
            "a kind we do not know",
            signed(&with(&good, "type", json!("admin"))),
        ),
        ("no expiry", signed(&with(&good, "exp", Value::Null))),
        (
            "an expiry in words",
            signed(&with(&good, "exp", json!("tomorrow"))),
        ),
        ("claims that are no object", signed(&json!([good]))),
        ("nothing", "..".to_owned()),
        ("words", "not a token".to_owned()),
        ("eight kilobytes", "a".repeat(8000)),
    ];
    for (what, token) in &forged {
        for route in PROTECTED {
            let path = route.1;
            let answer = knock(&user, route, Some(&format!("Bearer {token}"))).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "token_invalid"),
                "{what} at {path}"
            );
        }
    }
    user.get("/auth/me").await.expect(200);
}

async fn every_protected_route_says_when_a_token_has_expired(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let now = chrono::Utc::now().timestamp();
    for ago in [1, 100_000_000] {
        let expired = with(&claims(&user.login().access_token), "exp", json!(now - ago));
        let bearer = format!("Bearer {}", sign("HS256", JWT_KEY, &expired));
        for route in PROTECTED {
            knock(&user, route, Some(&bearer))
                .await
                .expect_error(401, "token_expired");
        }
    }
    let expired = with(&claims(&user.login().refresh_token), "exp", json!(now - 1));
    let bearer = format!("Bearer {}", sign("HS256", JWT_KEY, &expired));
    let refresh = (Method::POST, "/auth/refresh");
    knock(&user, refresh, Some(&bearer))
        .await
        .expect_error(401, "token_expired");
}

/// The forgeries above fail for what is forged, and not because this test signs wrongly.
async fn a_token_of_our_own_making_opens_the_door(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let token = sign("HS256", JWT_KEY, &claims(&user.login().access_token));
    let me = (Method::GET, "/auth/me");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let authorization = format!("{scheme} {token}");
        knock(&user, me.clone(), Some(&authorization))
            .await
            .expect(200);
    }
}

async fn an_access_token_is_no_refresh_token_and_the_reverse(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let access = format!("Bearer {}", user.login().access_token);
    let refresh = format!("Bearer {}", user.login().refresh_token);
    let answer = knock(&user, (Method::POST, "/auth/refresh"), Some(&access)).await;
    answer.expect_error(401, "token_invalid");
    for route in PROTECTED {
        knock(&user, route, Some(&refresh))
            .await
            .expect_error(401, "token_invalid");
    }
    user.get("/auth/me").await.expect(200);
}

async fn a_login_of_somebody_else_is_refused(stage: &Stage) {
    let (ann, bob) = (
        stage.shared.service.user().await,
        stage.shared.service.user().await,
    );
    let (mine, theirs) = (
        claims(&ann.login().access_token),
        claims(&bob.login().access_token),
    );
    let unknown = json!("00000000-0000-4000-8000-000000000000");
    for forged in [
        with(&mine, "sid", theirs["sid"].clone()),
        with(&mine, "sub", theirs["sub"].clone()),
        with(&mine, "sid", unknown),
    ] {
        let bearer = format!("Bearer {}", sign("HS256", JWT_KEY, &forged));
        for route in PROTECTED {
            knock(&ann, route, Some(&bearer))
                .await
                .expect_error(401, "token_revoked");
        }
    }
    for user in [ann, bob] {
        user.get("/auth/me").await.expect(200);
    }
}

async fn a_token_is_read_from_one_authorization_header_only(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let token = &user.login().access_token;
    let twice = user
        .call(Method::GET, "/auth/me")
        .header("authorization", format!("Bearer {token}"));
    twice.send().await.expect_error(401, "token_invalid");
    let anonymous = user.anonymous();
    let query = anonymous.call(Method::GET, &format!("/auth/me?access_token={token}"));
    query.send().await.expect_error(401, "unauthorized");
    let cookie = anonymous
        .call(Method::GET, "/auth/me")
        .header("cookie", format!("access_token={token}"));
    cookie.send().await.expect_error(401, "unauthorized");
}
