//! A stand-in for the model's server, over real HTTP, that can be told to misbehave.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::http_server;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type HttpResponse = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How long [`Reply::DelayedPhrases`] waits.
const DELAY: Duration = Duration::from_millis(500);

/// How the model replies to a text.
#[derive(Clone)]
pub enum Reply {
    /// A completion with these positive and negative phrases, in the format that the service asks for.
    Phrases(&'static [&'static str], &'static [&'static str]),
    /// [`Reply::Phrases`] after half a second.
    DelayedPhrases(&'static [&'static str], &'static [&'static str]),
    /// [`Reply::Phrases`] when the signal is given.
    PhrasesAfter(
        Arc<Notify>,
        &'static [&'static str],
        &'static [&'static str],
    ),
    /// A completion whose message has this content.
    Message(String),
    /// Status 200 with this body.
    Body(Bytes),
    /// A completion with this as `choices[0]`.
    Choice(Value),
    /// An error status, and the value of `Retry-After` where there is one.
    Status(u16, Option<u32>),
    /// This HTTP response.
    Http(HttpReply),
    /// The HTTP response that the function returns for the request.
    Computed(Arc<dyn Fn(&ModelRequest) -> HttpReply + Send + Sync>),
    /// Closes the connection without a response.
    CloseConnection,
    /// Keeps the connection open and never responds.
    NoResponse,
    /// Sends headers and then one space after another, without end.
    EndlessBody,
    /// Closes the connection before the declared length is sent.
    TruncatedBody,
    /// Refuses `response_format`; replies with these positive phrases to a request without it.
    RejectResponseFormat(&'static [&'static str]),
}

/// An HTTP response: status, headers and body.
#[derive(Clone, Debug)]
pub struct HttpReply(pub u16, pub Vec<(&'static str, String)>, pub Bytes);

/// A request that the model received.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The headers, with the token.
    pub headers: HeaderMap,
    /// The JSON body.
    pub body: Value,
    /// Path and query.
    pub path: String,
}

#[derive(Default)]
struct State {
    /// By a word of the text.
    replies: HashMap<String, Reply>,
    requests: Vec<ModelRequest>,
}

/// The running server. It ends with the process.
#[derive(Clone)]
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl ModelServer {
    /// Starts the server on a free port.
    pub async fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts the server at an address of this machine.
    pub async fn start_at(address: SocketAddr) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let handler_state = Arc::clone(&state);
        let handler = move |request| respond(Arc::clone(&handler_state), request);
        Self {
            address: http_server::serve_at(address, handler).await,
            state,
        }
    }

    /// Returns the value of `github_models_host`.
    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the reply to every text that contains `word`.
    pub fn set_reply(&self, word: &str, reply: Reply) {
        lock(&self.state).replies.insert(word.to_owned(), reply);
    }

    /// Returns the requests about texts that contain `word`.
    pub fn requests(&self, word: &str) -> Vec<ModelRequest> {
        let state = lock(&self.state);
        let is_about = |request: &&ModelRequest| request.body.to_string().contains(word);
        state.requests.iter().filter(is_about).cloned().collect()
    }

    /// Returns the number of requests about texts that contain `word`.
    pub fn request_count(&self, word: &str) -> usize {
        self.requests(word).len()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn respond(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<HttpResponse, BoxError> {
    let (parts, body) = request.into_parts();
    let request = ModelRequest {
        headers: parts.headers,
        body: serde_json::from_slice(&body.collect().await?.to_bytes())?,
        path: parts.uri.to_string(),
    };
    let reply = {
        let mut state = lock(&state);
        state.requests.push(request.clone());
        let text = request.body["messages"].to_string();
        let set = state.replies.iter().find(|(word, _)| text.contains(*word));
        set.map_or_else(|| default_reply(&request.body), |(_, reply)| reply.clone())
    };
    Ok(match reply {
        Reply::Phrases(positive, negative) => message(&phrases(positive, negative)),
        Reply::DelayedPhrases(positive, negative) => {
            tokio::time::sleep(DELAY).await;
            message(&phrases(positive, negative))
        }
        Reply::PhrasesAfter(signal, positive, negative) => {
            signal.notified().await;
            message(&phrases(positive, negative))
        }
        Reply::Message(content) => message(&content),
        Reply::Body(body) => full(StatusCode::OK, body),
        Reply::Choice(choice) => full(StatusCode::OK, json!({"choices": [choice]}).to_string()),
        Reply::Status(status, retry_after) => failure(status, retry_after)?,
        Reply::Http(reply) => http_response(reply)?,
        Reply::Computed(compute) => http_response(compute(&request))?,
        Reply::CloseConnection => return Err("the connection closes without a response".into()),
        Reply::NoResponse => std::future::pending().await,
        Reply::EndlessBody => endless(),
        Reply::TruncatedBody => truncated(),
        Reply::RejectResponseFormat(_) if request.body.get("response_format").is_some() => {
            let error = json!({"error": {"message": "Unknown parameter: response_format"}});
            full(StatusCode::BAD_REQUEST, error.to_string())
        }
        Reply::RejectResponseFormat(positive) => message(&phrases(positive, &[])),
    })
}

/// Finds "lovely", "wonderful", "awful" and "dreadful" in the text, as a good model would.
fn default_reply(request: &Value) -> Reply {
    let messages = request["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let text = messages.last().and_then(|last| last["content"].as_str());
    let text = text.unwrap_or_default();
    let found = |words: [&'static str; 2]| words.into_iter().filter(|word| text.contains(word));
    let positive: Vec<_> = found(["lovely", "wonderful"]).collect();
    let negative: Vec<_> = found(["awful", "dreadful"]).collect();
    Reply::Message(phrases(&positive, &negative))
}

fn phrases(positive: &[&str], negative: &[&str]) -> String {
    json!({"positive": positive, "negative": negative}).to_string()
}

fn message(content: &str) -> HttpResponse {
    let message = json!({"role": "assistant", "content": content});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let completion = json!({"id": "c", "object": "chat.completion", "choices": [choice]});
    full(StatusCode::OK, completion.to_string())
}

fn full(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn http_response(HttpReply(status, headers, body): HttpReply) -> Result<HttpResponse, BoxError> {
    let mut response = full(StatusCode::from_u16(status)?, body);
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::try_from(value)?);
    }
    Ok(response)
}

fn failure(status: u16, retry_after: Option<u32>) -> Result<HttpResponse, BoxError> {
    let body = r#"{"error":{"message":"<script>alert('the stand-in fails')</script>"}}"#;
    let retry_after = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
    http_response(HttpReply(
        status,
        retry_after.into_iter().collect(),
        body.into(),
    ))
}

fn endless() -> HttpResponse {
    let spaces = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"   "))), ()))
    });
    Response::new(StreamBody::new(spaces).boxed_unsync())
}

fn truncated() -> HttpResponse {
    let beginning = Bytes::from_static(br#"{"choices": [{"message": {"content": "#);
    let body = stream::iter([Ok(Frame::data(beginning))]);
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert("content-length", 100_000.into());
    response
}
