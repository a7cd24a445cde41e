//! Names of tests in documents: `accounts/login.rs::name`, or `::name` for one more of the same file.

use crate::markdown::code_spans;

/// Returns the tests that a text names as file and function, with the numbers of their lines.
pub fn named_tests(text: &str) -> Vec<(usize, String, String)> {
    let mut found: Vec<(usize, String, String)> = Vec::new();
    for (line, span) in code_spans(text) {
        let Some((file, function)) = span.split_once("::") else {
            continue;
        };
        let is_name = |name: &str| {
            let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            !name.is_empty() && name.bytes().all(is_allowed)
        };
        let file = match (file, found.last()) {
            ("", Some((_, file, _))) => file.clone(),
            (file, _) if file.ends_with(".rs") => file.to_owned(),
            _ => continue,
        };
        if is_name(function) {
            found.push((line, file, function.to_owned()));
        }
    }
    found
}

#[test]
fn finds_tests_with_and_without_their_file() {
    let text = "a `b/c.rs::one_1`, `::two`\n`Vec::new` `d.rs::three()` `::four`";
    let found = named_tests(text);
    let found: Vec<_> = found
        .iter()
        .map(|(line, file, function)| (*line, &**file, &**function))
        .collect();
    assert_eq!(
        found,
        [
            (1, "b/c.rs", "one_1"),
            (1, "b/c.rs", "two"),
            (2, "b/c.rs", "four"),
        ]
    );
}
