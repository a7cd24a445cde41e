//! The private servers keep their data through every kind of end, and start on what a crash leaves behind.

use std::path::Path;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use testbed::{database, postgres};
use tokio::net::TcpStream;

async fn start_postgres(folder: &Path) -> postgres::Server {
    let server = postgres::Server::start_throw_away(folder).await;
    server.expect("Postgres starts")
}

async fn execute(url: &str, statements: &str) {
    let database = database::connect(url).await.unwrap();
    database.batch_execute(statements).await.unwrap();
}

async fn count(url: &str) -> i64 {
    let database = database::connect(url).await.unwrap();
    let row = database.query_one("select count(*) from kept", &[]).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn postgres_keeps_its_data_through_every_kind_of_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_postgres(folder.path()).await;
    let url = server.create_database("a \"name\"").await.unwrap();
    assert_eq!(server.create_database("a \"name\"").await.unwrap(), url);
    let url = server.create_database("diary").await.unwrap();
    execute(
        &url,
        "create table kept (id int); insert into kept values (1)",
    )
    .await;

    server.restart().await.unwrap();
    assert_eq!(count(&url).await, 1);

    execute(&url, "insert into kept values (2)").await;
    server.kill();
    assert!(database::connect(&url).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(count(&url).await, 2);

    server.stop().await;
    assert!(TcpStream::connect(server.address()).await.is_err());
    drop(server);
    let again = start_postgres(folder.path()).await;
    assert_eq!(count(&again.url("diary")).await, 2);
}

#[tokio::test]
async fn postgres_starts_over_the_process_id_of_a_crashed_server() {
    let folder = tempfile::tempdir().unwrap();
    drop(start_postgres(folder.path()).await);
    // After a restart of the machine the id may belong to another process: here to this test.
    let stale = format!(
        "{}\n{}/data\n1\n1\n\n127.0.0.1\n\nready\n",
        std::process::id(),
        folder.path().display()
    );
    std::fs::write(folder.path().join("data/postmaster.pid"), stale).unwrap();
    let running = || postgres::running_url(folder.path(), "postgres").unwrap();
    assert_eq!(running(), None);
    let server = start_postgres(folder.path()).await;
    assert_eq!(running(), Some(server.url("postgres")));
}

#[tokio::test]
async fn postgres_requires_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_postgres(folder.path()).await;
    let without = format!("postgres://diary@{}/postgres", server.address());
    assert!(database::connect(&without).await.is_err());
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn get(url: &str, key: &str) -> Option<String> {
    connect(url).await.get(key).await.unwrap()
}

async fn set(url: &str, key: &str, value: &str) {
    connect(url).await.set(key, value).await.unwrap()
}

#[tokio::test]
async fn redis_keeps_its_data_through_every_kind_of_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = testbed::redis::Server::start(folder.path()).await.unwrap();
    set(&server.url(3), "a", "1").await;
    server.restart().await.unwrap();
    assert_eq!(get(&server.url(3), "a").await.as_deref(), Some("1"));
    assert_eq!(get(&server.url(4), "a").await, None);

    set(&server.url(255), "b", "2").await;
    server.kill();
    assert!(TcpStream::connect(server.address()).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(get(&server.url(255), "b").await.as_deref(), Some("2"));

    drop(server);
    let again = testbed::redis::Server::start(folder.path()).await.unwrap();
    assert_eq!(get(&again.url(3), "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn redis_requires_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = testbed::redis::Server::start(folder.path()).await.unwrap();
    let client = redis::Client::open(format!("redis://{}", server.address())).unwrap();
    let refused: redis::RedisResult<Option<String>> = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        connection.get("a").await
    }
    .await;
    assert_eq!(refused.unwrap_err().code(), Some("NOAUTH"));
}
