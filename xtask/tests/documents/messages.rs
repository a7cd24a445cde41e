//! Messages that the runbook quotes.

use crate::files;

const RUNBOOK: &str = "docs/troubleshooting.md";

/// Messages of other programs, as these printed them.
const OF_OTHERS: [(&str, &str); 16] = [
    ("no provider resolved required variable(s): [", "Spin"),
    ("127.0.0.1:3000 is already in use.", "Spin"),
    ("failed to create cache directory: /", "Spin"),
    ("Address already in use (os error 98)", "Linux"),
    ("FATAL:  too many connections for role", "Postgres"),
    ("FATAL:  sorry, too many clients already", "Postgres"),
    ("Could not connect to Redis at 127.0.0.1:6379", "redis-cli"),
    ("Error: Connection reset by peer", "redis-cli"),
    ("SSL_connect failed: certificate verify failed", "redis-cli"),
    ("NOAUTH Authentication required.", "Redis"),
    ("WRONGPASS invalid username-password pair", "Redis"),
    ("READONLY You can't write against", "Redis"),
    ("OOM command not allowed when used memory", "Redis"),
    ("unsupported startup parameter in options", "PgBouncer"),
    ("Verification error: self-signed certificate", "OpenSSL"),
    ("verify error:num=62:hostname mismatch", "OpenSSL"),
];

/// Returns the texts in double quotes, with the numbers of their lines. Double quotes in code spans are code.
fn quotes(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut in_code = false;
        let mut quote: Option<String> = None;
        for letter in line.chars() {
            in_code ^= letter == '`';
            match &mut quote {
                Some(text) if letter == '"' && !in_code => {
                    found.push((index + 1, std::mem::take(text)));
                    quote = None;
                }
                Some(text) => text.push(letter),
                None if letter == '"' && !in_code => quote = Some(String::new()),
                None => {}
            }
        }
    }
    found
}

/// Returns findings for quotes that no program prints.
fn unknown_messages(document: &str, sources: &[String]) -> Vec<String> {
    let is_known = |quote: &str| {
        sources.iter().any(|source| source.contains(quote))
            || OF_OTHERS.iter().any(|(message, _)| message.contains(quote))
    };
    let unknown = quotes(document)
        .into_iter()
        .filter(|(_, quote)| !is_known(quote));
    unknown
        .map(|(line, quote)| format!("{RUNBOOK}:{line}: no program prints \"{quote}\""))
        .collect()
}

#[test]
fn every_quoted_message_is_printed() {
    let mut sources = files("src", &[".rs"]);
    for (folder, ending) in [("components", ".rs"), ("host/src", ".rs"), ("deploy", "")] {
        sources.extend(files(folder, &[ending]));
    }
    let document = files(RUNBOOK, &[".md"]).remove(RUNBOOK).unwrap_or_default();
    assert!(quotes(&document).len() > 10, "the runbook has moved");
    let sources: Vec<String> = sources.into_values().collect();
    crate::assert_none(unknown_messages(&document, &sources));
}

#[test]
fn finds_messages_that_no_program_prints() {
    let document = "`grep \"x\"`: \"is `up`\" and \"no provider resolved\"\nor \"is away\"";
    assert_eq!(
        quotes(document),
        [
            (1, "is `up`".to_owned()),
            (1, "no provider resolved".to_owned()),
            (2, "is away".to_owned())
        ]
    );
    assert_eq!(
        unknown_messages(document, &["it is `up`".to_owned()]),
        [format!("{RUNBOOK}:2: no program prints \"is away\"")]
    );
}
