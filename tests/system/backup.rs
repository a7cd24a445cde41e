//! Backups and their restoration: `cargo xtask backup` and `cargo xtask restore`.

use std::fs::{self, File};
use std::path::PathBuf;

use macro_rules_attribute::apply;
use tempfile::TempDir;

use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::{backup, migrate, read_file, seed};

/// A database with the sample data, and a backup of it.
struct BackedUp {
    url: String,
    folder: TempDir,
    file: PathBuf,
}

async fn back_up(env: &TestEnv) -> BackedUp {
    let url = env.new_migrated_database().await;
    seed::add(&url).await.expect("the sample data is added");
    let folder = TempDir::new().expect("a folder is created");
    let file = backup::write(&url, folder.path(), 14).await;
    let file = file.expect("the backup is written");
    BackedUp { url, folder, file }
}

/// Returns the rows of all tables with their content, as digests.
async fn digests(url: &str) -> Vec<String> {
    let database = Database::connect(url).await;
    let tables = "select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1";
    let mut digests = Vec::new();
    for table in database.column::<String>(tables).await {
        let digest = format!(
            "select concat(count(*), ' ', md5(string_agg(t::text, ' ' order by t::text))) from {table} t"
        );
        let digest: String = database.value(&digest, &[]).await;
        digests.push(format!("{table} {digest}"));
    }
    digests
}

#[apply(e2e_test!)]
async fn restores_everything_into_an_empty_database(env: &TestEnv) {
    let BackedUp { url, folder, file } = back_up(env).await;
    let other = env.new_database().await;
    let restored = backup::restore(&other, &file, false).await;
    let restored = restored.expect("the backup is restored");
    assert_eq!(restored.differences, Vec::<String>::new());
    assert!(restored.is_compared);
    assert_eq!(digests(&other).await, digests(&url).await);
    let current = migrate::ensure_current(&other).await;
    current.expect("the restored database is migrated");
    let checked = backup::check(&file).await.expect("the backup is checked");
    assert_eq!(checked.differences, Vec::<String>::new());
    assert_eq!(checked.contents, restored.contents);
    drop(folder);
}

#[apply(e2e_test!)]
async fn replaces_a_database_only_when_told_to(env: &TestEnv) {
    let BackedUp { url, folder, file } = back_up(env).await;
    let before = digests(&url).await;
    let database = Database::connect(&url).await;
    // As if the database had been migrated further after the backup.
    let newer =
        "create table newer (id serial); insert into newer default values; delete from users";
    database.batch(newer).await;
    let refused = backup::restore(&url, &file, false).await;
    let refused = refused.expect_err("the database has rows").to_string();
    assert!(refused.contains("--replace"), "{refused}");
    let restored = backup::restore(&url, &file, true).await;
    assert_eq!(
        restored.expect("it is replaced").differences,
        Vec::<String>::new()
    );
    assert_eq!(digests(&url).await, before);
    drop(folder);
}

#[apply(e2e_test!)]
async fn keeps_the_database_when_the_backup_is_cut_short(env: &TestEnv) {
    let BackedUp { url, folder, file } = back_up(env).await;
    let before = digests(&url).await;
    let length = fs::metadata(&file).expect("the backup exists").len();
    let opened = File::options().write(true).open(&file).expect("it opens");
    opened.set_len(length / 2).expect("it is cut short");
    let failed = backup::restore(&url, &file, true).await;
    let failed = format!("{:#}", failed.expect_err("half of it is missing"));
    assert!(failed.contains("nothing was changed"), "{failed}");
    assert_eq!(digests(&url).await, before);
    drop(folder);
}

#[apply(e2e_test!)]
async fn finds_a_backup_that_lacks_rows(env: &TestEnv) {
    let BackedUp { folder, file, .. } = back_up(env).await;
    let contents = file.with_extension("contents");
    let text = fs::read_to_string(&contents).expect("it has its contents beside it");
    let users = text.lines().find(|line| line.starts_with("rows users "));
    assert_eq!(users, Some("rows users 3"));
    let more = text.replace("rows users 3", "rows users 4");
    fs::write(&contents, more).expect("the contents are written");
    let checked = backup::check(&file).await.expect("the backup is restored");
    assert_eq!(checked.differences, ["rows users: 3 restored, 4 backed up"]);
    drop(folder);
}

/// The dump and the numbers beside it are of the same moment, while others write.
#[apply(e2e_test!)]
async fn is_of_one_moment(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    let writing = tokio::spawn(async move {
        for number in 0..4_000 {
            let statement =
                "insert into users (email, password_hash) values ($1 || '@example.com', 'x')";
            database.execute(statement, &[&number.to_string()]).await;
        }
    });
    let folder = TempDir::new().expect("a folder is created");
    let file = backup::write(&url, folder.path(), 14).await;
    let is_writing = !writing.is_finished();
    writing.abort();
    let checked = backup::check(&file.expect("the backup is written")).await;
    let checked = checked.expect("the backup is restored");
    assert_eq!(checked.differences, Vec::<String>::new());
    assert!(
        is_writing && checked.contents.rows() > 0,
        "nothing was written during the backup"
    );
}

#[apply(e2e_test!)]
async fn covers_the_replaced_service(env: &TestEnv) {
    let url = env.new_database().await;
    let database = Database::connect(&url).await;
    database
        .batch(&read_file("tests/data/replaced_service.sql"))
        .await;
    let folder = TempDir::new().expect("a folder is created");
    let file = backup::write(&url, folder.path(), 14).await;
    let checked = backup::check(&file.expect("the backup is written")).await;
    let checked = checked.expect("the backup is restored");
    assert_eq!(checked.differences, Vec::<String>::new());
    assert_ne!(checked.contents.rows(), 0);
}

#[apply(e2e_test!)]
async fn keeps_the_newest_ones(env: &TestEnv) {
    let BackedUp { url, folder, file } = back_up(env).await;
    let name = file
        .file_name()
        .expect("it has a name")
        .to_string_lossy()
        .into_owned();
    let older = name.replace("-20", "-19");
    for extension in ["dump", "contents"] {
        let path = folder.path().join(&older).with_extension(extension);
        fs::write(path, "").expect("an older backup is written");
    }
    let newest = loop {
        let written = backup::write(&url, folder.path(), 2).await;
        let written = written.expect("the backup is written");
        // The names have seconds.
        if written != file {
            break written;
        }
    };
    let mut left: Vec<PathBuf> = fs::read_dir(folder.path())
        .expect("the folder exists")
        .map(|entry| entry.expect("it is readable").path())
        .collect();
    left.sort_unstable();
    let expected = [&file, &newest].map(|file| [file.with_extension("contents"), file.clone()]);
    assert_eq!(left, expected.concat());
    assert_eq!(
        backup::newest(folder.path()).expect("there are some"),
        newest
    );
}
