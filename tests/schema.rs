//! Answers checked against the OpenAPI document that the service itself gives out.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::client::Answer;

/// The document, with a compiled schema for each answer in it.
pub struct Contract {
    document: Value,
    /// By path template, method and status.
    answers: HashMap<(String, String, u16), Documented>,
    failure: Validator,
}

struct Documented {
    headers: Vec<String>,
    body: Option<Validator>,
}

impl Contract {
    /// Reads a document.
    pub fn new(document: Value) -> Self {
        let mut answers = HashMap::new();
        for (path, operations) in object(&document["paths"]) {
            for (method, operation) in object(operations) {
                for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                    let status = status.parse().expect("a status is a number");
                    let documented = Documented::new(&document, resolve(&document, answer));
                    answers.insert((path.clone(), method.to_uppercase(), status), documented);
                }
            }
        }
        let failure = compile(&document, &json!({"$ref": "#/components/schemas/Error"}));
        Self {
            document,
            answers,
            failure,
        }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Fails when an answer is not as documented. Where the document has no such call, it must be a plain failure.
    #[track_caller]
    pub fn check(&self, answer: &Answer) {
        let method = match answer.method.as_str() {
            "OPTIONS" => return,
            "HEAD" => "GET",
            // `get` is another method than `GET`.
            method if method != method.to_uppercase() => "",
            method => method,
        };
        let Some(path) =
            self.documented_call(answer.path.split('?').next().unwrap_or_default(), method)
        else {
            assert!(
                answer.status >= 400 || answer.path.starts_with("/docs/"),
                "undocumented: {}",
                answer.shown()
            );
            if answer.status >= 400 && answer.method != http::Method::HEAD {
                valid(&self.failure, answer);
            }
            return;
        };
        let documented = self.answers.get(&(path, method.to_owned(), answer.status));
        let documented =
            documented.unwrap_or_else(|| panic!("an undocumented status: {}", answer.shown()));
        for name in &documented.headers {
            assert!(
                answer.header(name).is_some(),
                "no `{name}`: {}",
                answer.shown()
            );
        }
        match &documented.body {
            _ if answer.method == http::Method::HEAD => {}
            Some(schema) => valid(schema, answer),
            None => assert!(
                answer.status == 204 || answer.path == "/docs",
                "no schema: {}",
                answer.shown()
            ),
        }
    }

    fn documented_call(&self, path: &str, method: &str) -> Option<String> {
        let fits = |template: &str| {
            let segments = || template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count()
                && segments().all(|(wanted, given)| {
                    wanted == given || wanted.starts_with('{') && !given.is_empty()
                })
        };
        let mut candidates: Vec<&String> = object(&self.document["paths"])
            .keys()
            .filter(|path| fits(path))
            .collect();
        candidates.sort_by_key(|template| template.contains('{'));
        let template = candidates.first()?;
        let operations = &self.document["paths"][template.as_str()];
        operations
            .get(method.to_lowercase())
            .map(|_| (*template).clone())
    }
}

impl Documented {
    fn new(document: &Value, answer: &Value) -> Self {
        let mut headers = Vec::new();
        for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            if resolve(document, header)["required"] == true {
                headers.push(name.to_lowercase());
            }
        }
        let schema = answer.pointer("/content/application~1json/schema");
        Self {
            headers,
            body: schema.map(|schema| compile(document, schema)),
        }
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("the document has an object here")
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.trim_start_matches('#'));
            found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

fn compile(document: &Value, schema: &Value) -> Validator {
    let root = json!({"allOf": [schema], "components": document["components"]});
    let compiled = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&root);
    compiled.unwrap_or_else(|error| panic!("{schema} is no schema: {error}"))
}

#[track_caller]
fn valid(schema: &Validator, answer: &Answer) {
    let body = answer.json();
    let wrong: Vec<String> = schema
        .iter_errors(&body)
        .map(|error| error.to_string())
        .collect();
    assert!(
        wrong.is_empty(),
        "not as documented: {wrong:?}\n{}",
        answer.shown()
    );
}
