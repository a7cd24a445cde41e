//! Forged, exchanged, expired, unsigned and damaged tokens at every protected route.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::support::client::Client;
use crate::support::env::{JWT_KEY, TestEnv};
use crate::support::registry::e2e_test;
use crate::support::response::Response;

type Route = (Method, &'static str);

/// The routes that take an access token.
const PROTECTED: [Route; 8] = [
    (Method::GET, "/auth/me"),
    (Method::POST, "/auth/logout"),
    (Method::GET, "/diaries"),
    (Method::POST, "/diaries"),
    (Method::GET, "/diaries/stats"),
    (Method::GET, "/diaries/1"),
    (Method::PUT, "/diaries/1"),
    (Method::DELETE, "/diaries/1"),
];

/// The route that takes a refresh token.
const REFRESH: Route = (Method::POST, "/auth/refresh");

const ME: Route = (Method::GET, "/auth/me");

/// Sends a request with this `Authorization`, or without one.
async fn send(client: &Client, (method, path): Route, authorization: Option<&str>) -> Response {
    let request = client.request(method, path).without("authorization");
    let request = match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    let body = json!({"content": "This must not be stored."});
    request.json(&body).send().await
}

/// Sends a request to all protected routes and expects 401 with this code.
async fn expect_rejected(client: &Client, what: &str, token: &str, code: &str) {
    for route in PROTECTED {
        let path = route.1;
        let response = send(client, route, Some(&format!("Bearer {token}"))).await;
        let found = (response.status, response.error_code());
        assert_eq!(found, (401, code.to_owned()), "{what} at {path}");
    }
}

/// Returns the claims of a token without verifying it.
fn claims(token: &str) -> Value {
    decode_part(token, 1)
}

fn decode_part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("the token has the part");
    let bytes = BASE64.decode(part).expect("the part is base64");
    serde_json::from_slice(&bytes).expect("the part is JSON")
}

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

/// Signs a token by hand, so that it has exactly the flaw that the test wants.
fn sign(algorithm: &str, key: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = match algorithm {
        "HS384" => mac::<Hmac<Sha384>>(key, &message),
        "HS512" => mac::<Hmac<Sha512>>(key, &message),
        _ => mac::<Hmac<Sha256>>(key, &message),
    };
    format!("{message}.{}", BASE64.encode(signature))
}

fn sign_validly(claims: &Value) -> String {
    sign("HS256", JWT_KEY, claims)
}

fn mac<M: Mac + KeyInit>(key: &str, message: &str) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key.as_bytes()).expect("HMAC takes any key");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}.", encode(header), encode(claims))
}

/// Returns `claims` with one of them changed, or removed if `value` is null.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().expect("claims are an object");
    match value {
        Value::Null => fields.remove(name),
        value => fields.insert(name.to_owned(), value),
    };
    claims
}

#[apply(e2e_test!)]
async fn are_hs256_and_live_15_minutes_and_7_days(env: &TestEnv) {
    let user = env.user().await;
    let session = user.session();
    let tokens = [
        (&session.access_token, 15 * 60),
        (&session.refresh_token, 7 * 24 * 3600),
    ];
    for (token, lifetime) in tokens {
        assert_eq!(decode_part(token, 0)["alg"], "HS256");
        let claims = claims(token);
        let time = |name: &str| claims[name].as_i64().expect("the claim is a number");
        assert_eq!(time("exp") - time("iat"), lifetime);
        let age = chrono::Utc::now().timestamp() - time("iat");
        assert!((0..30).contains(&age), "{claims}");
        // Anyone can decode a token.
        assert!(!claims.to_string().contains(&session.email), "{claims}");
    }
}

#[apply(e2e_test!)]
async fn are_required_by_every_protected_route(env: &TestEnv) {
    let anonymous = env.anonymous();
    for route in PROTECTED.into_iter().chain([REFRESH]) {
        for authorization in [None, Some("Basic dXNlcjpwYXNz"), Some("Bearer"), Some("")] {
            let response = send(&anonymous, route.clone(), authorization).await;
            response.expect_error(401, "unauthorized");
        }
    }
}

#[apply(e2e_test!)]
async fn are_rejected_when_forged(env: &TestEnv) {
    let user = env.user().await;
    let token = &user.session().access_token;
    let valid = claims(token);
    let changed = |name: &str, value: Value| sign_validly(&with(&valid, name, value));
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, _) = message.split_once('.').expect("three parts");
    let none = json!({"alg": "none", "typ": "JWT"});
    let other_key = "another key, also longer than 32 bytes";
    let other_claims = encode(&with(&valid, "sub", json!("1")));
    let forged = [
        ("another key", sign("HS256", other_key, &valid)),
        ("an empty key", sign("HS256", "", &valid)),
        ("HS384", sign("HS384", JWT_KEY, &valid)),
        ("HS512", sign("HS512", JWT_KEY, &valid)),
        ("alg none", unsigned(&none, &valid)),
        (
            "alg none with a signature",
            format!("{}{signature}", unsigned(&none, &valid)),
        ),
        ("alg NONE", unsigned(&json!({"alg": "NONE"}), &valid)),
        ("no signature", format!("{message}.")),
        ("two parts", message.to_owned()),
        ("a short signature", token[..token.len() - 4].to_owned()),
        ("four parts", format!("{token}.{signature}")),
        (
            "other claims under the signature",
            format!("{header}.{other_claims}.{signature}"),
        ),
        ("no sub", changed("sub", Value::Null)),
        ("a sub that is a word", changed("sub", json!("admin"))),
        ("a sub above 32 bits", changed("sub", json!("99999999999"))),
        ("a sub that is a JSON number", changed("sub", json!(1))),
        ("no sid", changed("sid", Value::Null)),
        (
            "a sid that is not a UUID",
            changed("sid", json!("' or true --")),
        ),
        ("no type", changed("type", Value::Null)),
        ("an unknown type", changed("type", json!("admin"))),
        ("no exp", changed("exp", Value::Null)),
        ("an exp that is a word", changed("exp", json!("tomorrow"))),
        ("claims in an array", sign_validly(&json!([valid]))),
        ("empty parts", "..".to_owned()),
        ("no parts", "not a token".to_owned()),
        ("8,000 bytes", "a".repeat(8000)),
    ];
    for (what, token) in &forged {
        expect_rejected(&user, what, token, "token_invalid").await;
    }
    user.get("/auth/me").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn are_rejected_when_expired(env: &TestEnv) {
    let user = env.user().await;
    let now = chrono::Utc::now().timestamp();
    let access = claims(&user.session().access_token);
    for age in [1, 100_000_000] {
        let expired = sign_validly(&with(&access, "exp", json!(now - age)));
        expect_rejected(&user, "an expired token", &expired, "token_expired").await;
    }
    let refresh = claims(&user.session().refresh_token);
    let expired = sign_validly(&with(&refresh, "exp", json!(now - 1)));
    let response = send(&user, REFRESH, Some(&format!("Bearer {expired}"))).await;
    response.expect_error(401, "token_expired");
}

/// Proves that the forged tokens are rejected for their flaw and not because this file signs wrongly.
#[apply(e2e_test!)]
async fn are_accepted_when_signed_by_this_file(env: &TestEnv) {
    let user = env.user().await;
    let token = sign_validly(&claims(&user.session().access_token));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let response = send(&user, ME, Some(&format!("{scheme} {token}"))).await;
        response.expect_status(200);
    }
}

#[apply(e2e_test!)]
async fn are_rejected_where_the_other_kind_is_required(env: &TestEnv) {
    let user = env.user().await;
    let session = user.session();
    let access = format!("Bearer {}", session.access_token);
    let response = send(&user, REFRESH, Some(&access)).await;
    response.expect_error(401, "token_invalid");
    let refresh = &session.refresh_token;
    expect_rejected(&user, "a refresh token", refresh, "token_invalid").await;
    user.get("/auth/me").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn are_rejected_with_the_session_of_another_user(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let ann_claims = claims(&ann.session().access_token);
    let bob_claims = claims(&bob.session().access_token);
    let unknown = json!("00000000-0000-4000-8000-000000000000");
    for forged in [
        with(&ann_claims, "sid", bob_claims["sid"].clone()),
        with(&ann_claims, "sub", bob_claims["sub"].clone()),
        with(&ann_claims, "sid", unknown),
    ] {
        let token = sign_validly(&forged);
        expect_rejected(&ann, "another session", &token, "token_revoked").await;
    }
    for user in [ann, bob] {
        user.get("/auth/me").await.expect_status(200);
    }
}

#[apply(e2e_test!)]
async fn are_read_from_a_single_authorization_header_only(env: &TestEnv) {
    let user = env.user().await;
    let token = &user.session().access_token;
    let request = user.request(Method::GET, "/auth/me");
    let twice = request.header("authorization", format!("Bearer {token}"));
    twice.send().await.expect_error(401, "token_invalid");
    let anonymous = user.anonymous();
    let path = format!("/auth/me?access_token={token}");
    let in_query = anonymous.get(&path).await;
    in_query.expect_error(401, "unauthorized");
    let request = anonymous.request(Method::GET, "/auth/me");
    let in_cookie = request.header("cookie", format!("access_token={token}"));
    in_cookie.send().await.expect_error(401, "unauthorized");
}
