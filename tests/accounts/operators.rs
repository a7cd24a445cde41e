//! What operators do with accounts: `cargo xtask user`.

use macro_rules_attribute::apply;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::accounts::{self, Account, Email, NewPassword};
use crate::support::unique::unique_email;

const NEW_PASSWORD: &str = "Other1!password";

fn email(text: &str) -> Email {
    Email::parse(text).expect("it is an email")
}

fn password(text: &str) -> NewPassword {
    NewPassword::parse(text).expect("it meets the rules")
}

async fn listed(env: &TestEnv, email: &str) -> Account {
    let listed = accounts::list(&env.shared.database_url, email).await;
    let [account] = listed.expect("the accounts are listed").try_into().unwrap();
    account
}

/// Returns the latest actions in the log of a user, in their order.
async fn latest_actions(env: &TestEnv, user: &Client, count: usize) -> Vec<String> {
    let statement = format!(
        "select action::text from audit_log where user_id = {} order by id",
        user.session().user_id
    );
    let actions: Vec<String> = env.shared.database().await.column(&statement).await;
    actions[actions.len() - count..].to_vec()
}

#[apply(e2e_test!)]
async fn add_accounts_that_can_log_in(env: &TestEnv) {
    let url = &env.shared.database_url;
    let address = unique_email();
    let random = accounts::random_password().expect("a password");
    let added = accounts::add(url, &email(&address), &random).await;
    let id = added.expect("the account is new");
    let user = env.anonymous().log_in(&address, random.expose()).await;
    assert_eq!(user.session().user_id, id);
    let logged = ["account_created", "logged_in"];
    assert_eq!(latest_actions(env, &user, 2).await, logged);

    let again = accounts::add(url, &email(&address), &password(PASSWORD)).await;
    let error = again.expect_err("the account exists").to_string();
    assert_eq!(
        error,
        format!(
            "{address} has an account already: to set its password, use `cargo xtask user reset`"
        )
    );
    env.anonymous().log_in(&address, random.expose()).await;
}

/// A hash with other parameters would be replaced at the first login.
#[apply(e2e_test!)]
async fn add_accounts_with_the_hash_that_the_service_uses(env: &TestEnv) {
    let url = &env.shared.database_url;
    let address = unique_email();
    let added = accounts::add(url, &email(&address), &password(PASSWORD)).await;
    added.expect("the account is new");
    let database = env.shared.database().await;
    let hash = "select password_hash from users where email = $1";
    let before: String = database.value(hash, &[&address]).await;
    env.anonymous().log_in(&address, PASSWORD).await;
    assert_eq!(database.value::<String>(hash, &[&address]).await, before);
}

#[apply(e2e_test!)]
async fn list_accounts_with_logins_entries_and_state(env: &TestEnv) {
    let url = &env.shared.database_url;
    let address = unique_email();
    let added = accounts::add(url, &email(&address), &password(PASSWORD)).await;
    let id = added.expect("the account is new");
    let account = listed(env, &address.to_uppercase()).await;
    let expected = Account {
        id,
        email: address.clone(),
        created: account.created.clone(),
        last_login: None,
        entries: 0,
        disabled: None,
    };
    assert_eq!(account, expected);
    let user = env.anonymous().log_in(&address, PASSWORD).await;
    user.create_entry("A wonderful morning by the lake.").await;
    let account = listed(env, &address).await;
    assert_eq!(account.entries, 1);
    let login = "select to_char(created_at, 'YYYY-MM-DD HH24:MI') from sessions where user_id = $1";
    let login: String = env.shared.database().await.value(login, &[&id]).await;
    assert_eq!(account.last_login, Some(login));
}

#[apply(e2e_test!)]
async fn disable_and_enable_accounts(env: &TestEnv) {
    let url = &env.shared.database_url;
    let user = env.user().await;
    let address = user.session().email.clone();
    let disabled = accounts::disable(url, &email(&address)).await;
    disabled.expect("the account exists");
    let ended = user.get("/auth/me").await;
    ended.expect_error(401, "token_revoked");
    let refused = env.anonymous().try_log_in(&address, PASSWORD).await;
    refused.expect_error(401, "invalid_credentials");
    assert!(listed(env, &address).await.disabled.is_some());

    let enabled = accounts::enable(url, &email(&address)).await;
    enabled.expect("the account exists");
    assert_eq!(listed(env, &address).await.disabled, None);
    env.anonymous().log_in(&address, PASSWORD).await;
    let logged = ["account_disabled", "account_enabled", "logged_in"];
    assert_eq!(latest_actions(env, &user, 3).await, logged);
}

#[apply(e2e_test!)]
async fn reset_passwords(env: &TestEnv) {
    let url = &env.shared.database_url;
    let user = env.user().await;
    let address = user.session().email.clone();
    let database = env.shared.database().await;
    let keep = "update users set legacy_password_hash = '$2b$12$x' where email = $1";
    database.execute(keep, &[&address]).await;
    let reset = accounts::reset(url, &email(&address), &password(NEW_PASSWORD)).await;
    reset.expect("the account exists");
    user.get("/auth/me")
        .await
        .expect_error(401, "token_revoked");
    let former = env.anonymous().try_log_in(&address, PASSWORD).await;
    former.expect_error(401, "invalid_credentials");
    env.anonymous().log_in(&address, NEW_PASSWORD).await;
    let kept = "select legacy_password_hash from users where email = $1";
    let kept: Option<String> = database.value(kept, &[&address]).await;
    assert_eq!(kept, None);
    let logged = ["password_reset", "login_failed", "logged_in"];
    assert_eq!(latest_actions(env, &user, 3).await, logged);
}

#[apply(e2e_test!)]
async fn name_an_email_without_an_account(env: &TestEnv) {
    let url = &env.shared.database_url;
    let address = unique_email();
    let unknown = email(&address);
    let expected = format!("no account has the email {address}: `cargo xtask user list` shows all");
    for changed in [
        accounts::disable(url, &unknown).await,
        accounts::enable(url, &unknown).await,
        accounts::reset(url, &unknown, &password(PASSWORD)).await,
    ] {
        assert_eq!(changed.unwrap_err().to_string(), expected);
    }
}
