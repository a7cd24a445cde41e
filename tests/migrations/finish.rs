//! The end of the replaced service: `cargo xtask migrate finish`.

use macro_rules_attribute::apply;

use crate::support::client::PASSWORD;
use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::retirement::{self, Hashes};

/// bcrypt's hash of [`PASSWORD`], with its lowest cost.
const BCRYPT_HASH: &str = "$2b$04$abcdefghijklmnopqrstuuchGdllX0O2ZthG6oyaPSbmBrCIbnHlu";

/// Accounts with both hashes, with a bcrypt hash only, and with an argon2id hash only.
const ACCOUNTS: &str = "
    insert into users (email, password_hash, legacy_password_hash) values
        ('both@example.com', '$argon2id$v=19$x', '$2b$12$x'),
        ('bcrypt@example.com', '$2b$12$y', null),
        ('argon2@example.com', '$argon2id$v=19$z', null)";

async fn hashes(url: &str) -> Hashes {
    retirement::hashes(url)
        .await
        .expect("the hashes are counted")
}

#[apply(e2e_test!)]
async fn deletes_the_hashes_that_were_kept_and_no_other(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    database.batch(ACCOUNTS).await;
    let before = Hashes {
        kept: 1,
        bcrypt_only: 1,
        without_other: Vec::new(),
    };
    assert_eq!(hashes(&url).await, before);
    assert_eq!(retirement::finish(&url).await.expect("it finishes"), 1);
    assert_eq!(hashes(&url).await, Hashes { kept: 0, ..before });
    let left: Vec<String> = database
        .column("select password_hash from users order by email")
        .await;
    assert_eq!(left, ["$argon2id$v=19$z", "$2b$12$y", "$argon2id$v=19$x"]);
    assert_eq!(retirement::finish(&url).await.expect("it repeats"), 0);
}

#[apply(e2e_test!)]
async fn deletes_more_hashes_than_a_batch_has(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    let many = "
        insert into users (email, password_hash, legacy_password_hash)
        select n || '@example.com', '$argon2id$v=19$x', '$2b$12$x' from generate_series(1, 2500) n";
    database.batch(many).await;
    assert_eq!(retirement::finish(&url).await.expect("it finishes"), 2_500);
    assert_eq!(hashes(&url).await.kept, 0);
}

#[apply(e2e_test!)]
async fn refuses_to_lock_a_user_out(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    database.batch(ACCOUNTS).await;
    let damage = "update users set password_hash = '' where email = 'both@example.com'";
    database.batch(damage).await;
    let refused = retirement::finish(&url)
        .await
        .expect_err("a hash is damaged");
    assert_eq!(
        refused.to_string(),
        "1 accounts would have no usable hash left, so nothing was changed: both@example.com. \
         Set a new password for each with `cargo xtask user reset`, then repeat this"
    );
    assert_eq!(hashes(&url).await.kept, 1);
    let retired = "select count(*) from replaced_service_retirement";
    assert_eq!(database.value::<i64>(retired, &[]).await, 0);
}

/// Logs in with a bcrypt hash and returns the hash that was kept.
async fn kept_by_login(env: &TestEnv, is_finished: bool) -> Option<String> {
    let instance = env.start_instance(&[]).await;
    let database = instance.database().await;
    let add = "insert into users (email, password_hash) values ('ann@example.com', $1)";
    database.execute(add, &[&BCRYPT_HASH]).await;
    if is_finished {
        let deleted = retirement::finish(&instance.database_url).await;
        assert_eq!(deleted.expect("it finishes"), 0);
    }
    let client = instance.anonymous();
    client.log_in("ann@example.com", PASSWORD).await;
    let hashes = "select array[password_hash, legacy_password_hash] from users";
    let [current, kept]: [Option<String>; 2] = database
        .value::<Vec<Option<String>>>(hashes, &[])
        .await
        .try_into()
        .expect("two hashes");
    assert!(current.is_some_and(|hash| hash.starts_with("$argon2id$")));
    kept
}

#[apply(e2e_test!)]
async fn makes_logins_keep_no_bcrypt_hash(env: &TestEnv) {
    assert_eq!(
        kept_by_login(env, false).await.as_deref(),
        Some(BCRYPT_HASH)
    );
    assert_eq!(kept_by_login(env, true).await, None);
}
