//! Checks responses against the OpenAPI document that the service itself serves.

use std::collections::HashMap;

use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::response::Response;

/// The document, with a compiled schema for each of its responses.
pub struct OpenApi {
    document: Value,
    /// By path template, method and status.
    responses: HashMap<(String, String, u16), Documented>,
    error: Validator,
}

struct Documented {
    required_headers: Vec<String>,
    body: Option<Validator>,
}

impl OpenApi {
    /// Parses a document.
    pub fn new(document: Value) -> Self {
        let mut responses = HashMap::new();
        for (path, operations) in object(&document["paths"]) {
            for (method, operation) in object(operations) {
                let documented = operation["responses"].as_object();
                for (status, response) in documented.into_iter().flatten() {
                    let status = status.parse().expect("the status is a number");
                    let documented = Documented::new(&document, resolve(&document, response));
                    responses.insert((path.clone(), method.to_uppercase(), status), documented);
                }
            }
        }
        let error = compile(&document, &json!({"$ref": "#/components/schemas/Error"}));
        Self {
            document,
            responses,
            error,
        }
    }

    /// Returns the document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Fails if the response differs from the document. Of a call that is not in the document, it must be an error.
    #[track_caller]
    pub fn assert_documented(&self, response: &Response) {
        let is_head = response.method == Method::HEAD;
        let method = match response.method.as_str() {
            "OPTIONS" => return,
            "HEAD" => "GET",
            // Methods are case-sensitive: `get` is not `GET`.
            method if method != method.to_uppercase() => "",
            method => method,
        };
        let path = response.path.split('?').next().unwrap_or_default();
        let Some(template) = self.template(path, method) else {
            let is_error = response.status >= 400;
            let is_file_of_the_docs = path.starts_with("/docs/");
            assert!(
                is_error || is_file_of_the_docs,
                "this call is not in the document: {}",
                response.dump()
            );
            if is_error && !is_head {
                assert_valid(&self.error, response);
            }
            return;
        };
        let key = (template, method.to_owned(), response.status);
        let Some(documented) = self.responses.get(&key) else {
            panic!("this status is not in the document: {}", response.dump())
        };
        for name in &documented.required_headers {
            let value = response.header(name);
            assert!(value.is_some(), "no `{name}`: {}", response.dump());
        }
        match &documented.body {
            _ if is_head => {}
            Some(schema) => assert_valid(schema, response),
            None => assert!(
                [204, 304].contains(&response.status)
                    || ["/docs", "/internal/metrics"].contains(&path),
                "the document has no schema for this body: {}",
                response.dump()
            ),
        }
    }

    /// Returns the template that matches `path`; one without parameters takes precedence.
    fn template(&self, path: &str, method: &str) -> Option<String> {
        let matches = |template: &&String| {
            let segments = || template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count()
                && segments().all(|(expected, segment)| {
                    expected == segment || expected.starts_with('{') && !segment.is_empty()
                })
        };
        let paths = object(&self.document["paths"]);
        let candidates = paths.keys().filter(matches);
        let template = candidates.min_by_key(|template| template.contains('{'))?;
        let operation = paths[template].get(method.to_lowercase());
        operation.map(|_| template.clone())
    }
}

impl Documented {
    fn new(document: &Value, response: &Value) -> Self {
        let headers = response["headers"].as_object().into_iter().flatten();
        let is_required = |header: &Value| resolve(document, header)["required"] == true;
        let required_headers = headers
            .filter(|(_, header)| is_required(header))
            .map(|(name, _)| name.to_lowercase());
        let schema = response.pointer("/content/application~1json/schema");
        Self {
            required_headers: required_headers.collect(),
            body: schema.map(|schema| compile(document, schema)),
        }
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("the document has an object here")
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else {
        return value;
    };
    let target = document.pointer(reference.trim_start_matches('#'));
    target.unwrap_or_else(|| panic!("the reference {reference} has no target"))
}

fn compile(document: &Value, schema: &Value) -> Validator {
    let root = json!({"allOf": [schema], "components": document["components"]});
    let compiled = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&root);
    compiled.unwrap_or_else(|error| panic!("{schema} is not a schema: {error}"))
}

#[track_caller]
fn assert_valid(schema: &Validator, response: &Response) {
    let body = response.json();
    let errors = schema.iter_errors(&body).map(|error| error.to_string());
    let errors: Vec<String> = errors.collect();
    assert!(errors.is_empty(), "{errors:?}: {}", response.dump());
}
