//! What PromQL expressions name: series, labels and values.

use std::collections::BTreeSet;

fn is_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_:".contains(letter)
}

/// Returns the names of series in an expression.
pub fn names(expression: &str) -> BTreeSet<String> {
    // Without label matchers, ranges and strings.
    let (mut text, mut depth) = (String::new(), 0_i32);
    for letter in expression.chars() {
        depth += i32::from("{[".contains(letter));
        if depth == 0 {
            text.push(letter);
        }
        depth -= i32::from("}]".contains(letter));
    }
    let (mut found, mut rest) = (BTreeSet::new(), text.as_str());
    let mut is_label_list = false;
    while let Some(start) = rest.find(is_part) {
        is_label_list &= !rest[..start].contains(')');
        let after = &rest[start..];
        let (name, after) = after.split_at(after.find(|c| !is_part(c)).unwrap_or(after.len()));
        let is_aggregation = [" by (", " without ("]
            .iter()
            .any(|by| after.starts_with(by));
        let is_function = is_aggregation || after.starts_with('(');
        let is_list = ["by", "without", "on", "ignoring"].contains(&name);
        let is_operator = ["and", "or", "unless", "bool", "offset"].contains(&name);
        let is_number = name.starts_with(|letter: char| letter.is_ascii_digit());
        if !(is_function || is_list || is_operator || is_number || is_label_list) {
            found.insert(name.to_owned());
        }
        is_label_list |= is_list;
        rest = after;
    }
    found
}

/// A condition on a label of a series.
#[derive(Debug, PartialEq)]
pub struct Matcher {
    pub series: String,
    pub label: String,
    /// Alternatives of a regular expression are matchers of their own.
    pub value: String,
}

/// Returns the matchers in an expression whose values contain no commas and no braces.
pub fn matchers(expression: &str) -> Vec<Matcher> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once('{') {
        let series = before.rsplit(|letter| !is_part(letter)).next();
        let (list, after) = after.split_once('}').unwrap_or((after, ""));
        for matcher in list.split(',') {
            let (label, value) = matcher.split_once(['=', '!']).unwrap_or((matcher, ""));
            for value in value.trim_matches(['=', '~', '"']).split('|') {
                found.push(Matcher {
                    series: series.unwrap_or_default().to_owned(),
                    label: label.trim().to_owned(),
                    value: value.to_owned(),
                });
            }
        }
        rest = after;
    }
    found
}

/// Returns the labels by which an expression groups.
pub fn groups(expression: &str) -> BTreeSet<String> {
    let lists = expression.split(" by (").skip(1);
    let labels = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    labels.map(|label| label.trim().to_owned()).collect()
}

#[test]
fn finds_series_labels_and_values() {
    let expression = "sum by (le, x) (rate(a_total{y!=\"z\", x=~\"1|2\"}[5m])) > 0.5 and on () b";
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(expression), set(&["a_total", "b"]));
    assert_eq!(groups(expression), set(&["le", "x"]));
    let found = matchers(expression);
    let found: Vec<_> = found
        .iter()
        .map(|found| (&*found.series, &*found.label, &*found.value))
        .collect();
    assert_eq!(
        found,
        [
            ("a_total", "y", "z"),
            ("a_total", "x", "1"),
            ("a_total", "x", "2")
        ]
    );
}
