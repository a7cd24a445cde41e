//! SQL is in `db.rs` files and `migrations/` only.

use crate::{assert_none, guest_sources};

/// Returns the string literals of Rust source with the numbers of their first lines.
fn string_literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(letter) = rest.chars().next() {
        let hashes = rest
            .strip_prefix('r')
            .map(|after| after.len() - after.trim_start_matches('#').len());
        let raw = hashes.filter(|count| rest[1 + count..].starts_with('"'));
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else if let Some(hashes) = raw {
            let (open, close) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
            let end = rest[open..].find(&close).unwrap_or(rest.len() - open);
            found.push((line, rest[open..open + end].to_owned()));
            (open + end + close.len()).min(rest.len())
        } else if letter == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let end = end.unwrap_or(rest.len() - 1);
            found.push((line, rest[1..1 + end].to_owned()));
            (end + 2).min(rest.len())
        } else {
            letter.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn is_sql(text: &str) -> bool {
    let text = text.to_lowercase();
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = text.trim_start();
    text.starts_with("select ")
        || text.contains("insert into ")
        || text.contains("delete from ")
        || (text.starts_with("update ") && text.contains(" set "))
        || (text.starts_with("with ") && text.contains(" as ("))
}

fn sql_outside_db(path: &str, source: &str) -> Vec<String> {
    if path.ends_with("/db.rs") || path.contains("/db/") {
        return Vec::new();
    }
    // Tests of the shared crate have statements that never run.
    let product = source.split("\n#[cfg(test)]").next().unwrap_or_default();
    let literals = string_literals(product).into_iter();
    literals
        .filter(|(_, text)| is_sql(text))
        .map(|(line, _)| format!("{path}:{line}: SQL: move the statement to the component's db.rs"))
        .collect()
}

#[test]
fn sql_is_in_db_files_and_migrations_only() {
    let sources = guest_sources();
    assert_none(
        sources
            .iter()
            .flat_map(|(path, source)| sql_outside_db(path, source))
            .collect(),
    );
}

#[test]
fn finds_sql_outside_db_files() {
    let source = "// \"select 1\"\nlet quote = '\"';\nlet a = \"Please select one\";\nlet b = r#\"\n  -- f()\n  Select \"id\" from users\"#;\nlet c = \"insert into x\";\n#[cfg(test)]\nlet d = \"select 1\";";
    assert_eq!(
        sql_outside_db("components/auth/src/handlers.rs", source),
        [
            "components/auth/src/handlers.rs:4: SQL: move the statement to the component's db.rs",
            "components/auth/src/handlers.rs:7: SQL: move the statement to the component's db.rs",
        ]
    );
    assert!(sql_outside_db("components/auth/src/db.rs", source).is_empty());
}
