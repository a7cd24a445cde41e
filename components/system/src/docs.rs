//! `GET /openapi.json`, and `GET /docs`: Swagger UI over it, with every file from this service.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use thought_diary::{Response, http::raw_json};

const OPENAPI: &str = include_str!("../openapi.json");

/// Swagger UI sets styles from its scripts, and has its icons in `data:` URLs. Scripts are files of ours only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// These pages change with a release only.
const CACHE_CONTROL: &str = "public, max-age=3600";

/// A file that the page needs.
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

impl File {
    /// The file of this name under `/docs/`.
    pub fn find(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> Response {
    cacheable(raw_json(StatusCode::OK, OPENAPI))
}

/// The page itself.
pub fn page() -> Response {
    file(&PAGE)
}

/// A file of the page. Those that are kept compressed are sent so: browsers, which alone ask for them, take it.
pub fn file(file: &'static File) -> Response {
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
    fn the_document_is_of_this_version() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).expect("is JSON");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_page_asks_for_files_that_are_there_and_has_no_inline_script() {
        let page = std::str::from_utf8(PAGE.bytes).expect("is text");
        let asked: Vec<_> = page
            .split(['"', '\''])
            .filter_map(|part| part.strip_prefix("docs/"))
            .collect();
        assert_eq!(asked.len(), FILES.len());
        assert!(
            asked.iter().all(|name| File::find(name).is_some()),
            "{asked:?}"
        );
        assert!(!page.contains("<script>"));
    }
}
