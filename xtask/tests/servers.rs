//! The private servers: data survive, ends are clean, and what a hard end leaves behind stops nothing.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use xtask::{postgres, redis};

async fn count(url: &str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar("select count(*) from kept")
        .fetch_one(&mut connection)
        .await
}

#[tokio::test]
async fn postgres_keeps_its_data_through_every_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = postgres::Server::start_throw_away(folder.path())
        .await
        .unwrap();
    let url = server.create_database("a \"name\"").await.unwrap();
    assert_eq!(server.create_database("a \"name\"").await.unwrap(), url);
    let url = server.create_database("diary").await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("create table kept (id int); insert into kept values (1)")
        .execute(&mut connection)
        .await
        .unwrap();

    server.restart().await.unwrap();
    assert_eq!(count(&url).await.unwrap(), 1);

    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("insert into kept values (2)")
        .execute(&mut connection)
        .await
        .unwrap();
    server.kill();
    assert!(count(&url).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(count(&url).await.unwrap(), 2);

    server.stop().await.unwrap();
    assert!(TcpStream::connect(server.address()).await.is_err());
    drop(server);
    let again = postgres::Server::start_throw_away(folder.path())
        .await
        .unwrap();
    assert_eq!(count(&again.url("diary")).await.unwrap(), 2);
}

#[tokio::test]
async fn postgres_starts_over_a_stale_process_id() {
    let folder = tempfile::tempdir().unwrap();
    drop(
        postgres::Server::start_throw_away(folder.path())
            .await
            .unwrap(),
    );
    // As after a restart of the machine: the id in the file is now another process's, here our own.
    let stale = format!(
        "{}\n{}/data\n1\n1\n\n127.0.0.1\n\nready\n",
        std::process::id(),
        folder.path().display()
    );
    std::fs::write(folder.path().join("data/postmaster.pid"), stale).unwrap();
    assert_eq!(
        postgres::running_url(folder.path(), "postgres").unwrap(),
        None
    );
    let server = postgres::Server::start_throw_away(folder.path())
        .await
        .unwrap();
    let found = postgres::running_url(folder.path(), "postgres").unwrap();
    assert_eq!(found, Some(server.url("postgres")));
}

#[tokio::test]
async fn postgres_asks_for_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = postgres::Server::start_throw_away(folder.path())
        .await
        .unwrap();
    let without = format!("postgres://diary@{}/postgres", server.address());
    assert!(PgConnection::connect(&without).await.is_err());
}

async fn call(url: &str, commands: &str) -> String {
    let (password, rest) = url
        .strip_prefix("redis://:")
        .unwrap()
        .split_once('@')
        .unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let call = format!("AUTH {password}\r\nSELECT {database}\r\n{commands}\r\nQUIT\r\n");
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn redis_keeps_its_data_through_every_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = redis::Server::start(folder.path()).await.unwrap();
    assert_eq!(
        call(&server.url(3), "SET a 1").await,
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n"
    );
    server.restart().await.unwrap();
    assert!(call(&server.url(3), "GET a").await.contains("$1\r\n1\r\n"));
    assert!(call(&server.url(4), "GET a").await.contains("$-1\r\n"));

    call(&server.url(255), "SET b 2").await;
    server.kill();
    assert!(TcpStream::connect(server.address()).await.is_err());
    server.restart().await.unwrap();
    assert!(
        call(&server.url(255), "GET b")
            .await
            .contains("$1\r\n2\r\n")
    );

    drop(server);
    let again = redis::Server::start(folder.path()).await.unwrap();
    assert!(call(&again.url(3), "GET a").await.contains("$1\r\n1\r\n"));
    let mut stream = TcpStream::connect(again.address()).await.unwrap();
    stream.write_all(b"GET a\r\n").await.unwrap();
    let mut answer = [0; 7];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"-NOAUTH");
}
