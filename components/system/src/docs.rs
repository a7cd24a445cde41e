//! `GET /openapi.json`, and `GET /docs`: Swagger UI for it. The page loads files of this service only.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use thought_diary::{
    Error, Response,
    http::{FromRequest, Request},
    response::raw_json,
};

const OPENAPI: &str = include_str!("../openapi.json");

/// Swagger UI's scripts set styles, and its icons are `data:` URLs. Scripts are loaded from this service only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages change with releases only.
const CACHE_CONTROL: &str = "public, max-age=3600";

/// A file of the page.
pub struct File {
    name: &'static str,
    content_type: &'static str,
    gzip: bool,
    bytes: &'static [u8],
}

static FILES: [File; 3] = [
    File {
        name: "swagger-ui-bundle.js",
        content_type: "text/javascript; charset=utf-8",
        gzip: true,
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
    },
    File {
        name: "swagger-ui.css",
        content_type: "text/css; charset=utf-8",
        gzip: true,
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")),
    },
    File {
        name: "start.js",
        content_type: "text/javascript; charset=utf-8",
        gzip: false,
        bytes: include_bytes!("docs/start.js"),
    },
];

static PAGE: File = File {
    name: "docs",
    content_type: "text/html; charset=utf-8",
    gzip: false,
    bytes: include_bytes!("docs/page.html"),
};

impl FromRequest for &'static File {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        find(request.parameter()).ok_or(Error::NotFound)
    }
}

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// `GET /openapi.json`: the OpenAPI 3.1 document.
pub async fn openapi() -> Result<Response, Error> {
    Ok(cacheable(raw_json(StatusCode::OK, OPENAPI)))
}

/// `GET /docs`: the page.
pub async fn page() -> Result<Response, Error> {
    Ok(respond(&PAGE))
}

/// `GET /docs/{file}`: a file of the page.
pub async fn file(file: &'static File) -> Result<Response, Error> {
    Ok(respond(file))
}

/// Sends a compressed file as it is, because every browser accepts gzip.
fn respond(file: &'static File) -> Response {
    let mut response = Response::new(Bytes::from_static(file.bytes));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.content_type),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    );
    if file.gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    cacheable(response)
}

fn cacheable(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(CACHE_CONTROL),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_version_of_this_build() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).expect("is JSON");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn loads_existing_files_and_no_inline_script() {
        let page = std::str::from_utf8(PAGE.bytes).expect("is text");
        let requested: Vec<_> = page
            .split(['"', '\''])
            .filter_map(|part| part.strip_prefix("docs/"))
            .collect();
        assert_eq!(requested.len(), FILES.len());
        assert!(
            requested.iter().all(|name| find(name).is_some()),
            "{requested:?}"
        );
        assert!(!page.contains("<script>"));
    }
}
