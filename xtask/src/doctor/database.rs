//! Rights of the database role, version, timeouts, TLS, clock, and migrations.

use anyhow::Result;
use testbed::migrate::{self, State};
use testbed::settings::Settings;
use tokio_postgres::Client;

use super::findings::Findings;

/// Seconds by which clocks may differ: tokens and limits depend on them.
const MAX_CLOCK_DIFFERENCE: f64 = 5.0;

const ROLE: &str = "-- doctor: rights of the role
    select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls as administers,
        has_database_privilege(current_database(), 'CREATE') or has_schema_privilege('public', 'CREATE') as creates,
        exists (
            select from pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_has_role(relowner, 'MEMBER')
        ) as owns_tables,
        coalesce(has_table_privilege(to_regclass('_sqlx_migrations'), 'INSERT'), false) as writes_migrations
    from pg_roles where rolname = current_user";

const SERVER: &str = "-- doctor: the server
    select current_setting('server_version_num')::int4 as version,
        current_setting('statement_timeout') as statement_timeout,
        coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as is_encrypted,
        coalesce(host(inet_server_addr()) in ('127.0.0.1', '::1'), true) as is_local,
        extract(epoch from clock_timestamp())::float8 as time";

pub async fn check(settings: &Settings, findings: &mut Findings) {
    let Some(url) = settings.get("database_url") else {
        return findings.skipped("database", "database_url is not set");
    };
    let client = match testbed::database::connect(url).await {
        Ok(client) => client,
        Err(error) => return findings.failed("database", format!("{error:#}")),
    };
    if let Err(error) = rights(&client, findings).await {
        findings.failed("database role", format!("{error:#}"));
    }
    if let Err(error) = server(&client, findings).await {
        findings.failed("database server", format!("{error:#}"));
    }
    if let Err(error) = migrations(url, findings).await {
        findings.failed("migrations", format!("{error:#}"));
    }
}

async fn rights(client: &Client, findings: &mut Findings) -> Result<()> {
    let row = client.query_one(ROLE, &[]).await?;
    let excess: Vec<_> = [
        ("administers", "administer the server"),
        ("creates", "create tables"),
        ("owns_tables", "drop or change tables that it owns"),
        ("writes_migrations", "write to the record of migrations"),
    ]
    .into_iter()
    .filter(|(column, _)| row.get(column))
    .map(|(_, right)| right)
    .collect();
    findings.expect(
        "database role",
        excess.is_empty(),
        "may read and write rows only",
        format!(
            "may {}: run deploy/postgres/role.sql, and use the role thought_diary in database_url",
            excess.join(", ")
        ),
    );
    Ok(())
}

async fn server(client: &Client, findings: &mut Findings) -> Result<()> {
    let begun = now();
    let row = client.query_one(SERVER, &[]).await?;
    let version: i32 = row.get("version");
    findings.expect(
        "Postgres version",
        version >= 130_000,
        version / 10_000,
        format!("{} is older than 13: upgrade it", version / 10_000),
    );
    let is_unlimited = row.get::<_, &str>("statement_timeout") == "0";
    findings.expect(
        "statement timeout",
        !is_unlimited,
        format!("the role has {}", row.get::<_, &str>("statement_timeout")),
        "the role has none, and PgBouncer drops the one that the service sends: run deploy/postgres/role.sql",
    );
    let is_protected = row.get("is_encrypted") || row.get("is_local");
    findings.expect(
        "database connection",
        is_protected,
        "is encrypted or local",
        "is not encrypted and leaves the machine: enable TLS in Postgres, and add sslmode=verify-full to database_url",
    );
    let difference = (row.get::<_, f64>("time") - begun).abs();
    findings.expect(
        "database clock",
        difference < MAX_CLOCK_DIFFERENCE,
        "agrees with this machine's",
        format!(
            "differs by {difference:.0} s from this machine's: synchronize both (`timedatectl`)"
        ),
    );
    Ok(())
}

async fn migrations(url: &str, findings: &mut Findings) -> Result<()> {
    let steps = migrate::status(url).await?;
    let in_state = |state| steps.iter().filter(|step| step.state == state).count();
    let (pending, changed, unknown) = (
        in_state(State::Pending),
        in_state(State::Changed),
        in_state(State::Unknown),
    );
    if changed > 0 {
        findings.failed(
            "migrations",
            format!("{changed} applied files have changed since: check out the version that runs"),
        );
    } else if pending > 0 {
        findings.failed(
            "migrations",
            format!("{pending} are pending: run `migrate up` as the role thought_diary_owner"),
        );
    } else if unknown > 0 {
        findings.warning("migrations", format!("the database has {unknown} that this checkout lacks: check out the version that runs"));
    } else {
        findings.passed("migrations", format!("all {} are applied", steps.len()));
    }
    Ok(())
}

fn now() -> f64 {
    let elapsed = std::time::SystemTime::UNIX_EPOCH.elapsed();
    elapsed
        .map(|elapsed| elapsed.as_secs_f64())
        .unwrap_or_default()
}
