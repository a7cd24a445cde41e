//! A stand-in for the model service, over real HTTP, that can be told how to misbehave.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How a text is answered.
#[derive(Clone)]
pub enum Reply {
    /// A completion with these positive and negative phrases, as asked for.
    Phrases(&'static [&'static str], &'static [&'static str]),
    /// The same, after half a second.
    Late(&'static [&'static str], &'static [&'static str]),
    /// A completion whose message is this text.
    Says(String),
    /// This body with status 200.
    Raw(Bytes),
    /// A whole `choices[0]`.
    Choice(Value),
    /// An error status, with `Retry-After` where it is given.
    Status(u16, Option<u32>),
    /// Whatever this makes of the call.
    By(Arc<dyn Fn(&Asked) -> Exact + Send + Sync>),
    /// This, whatever the call.
    Exactly(Exact),
    /// The connection is closed without an answer.
    Hangup,
    /// No answer, ever.
    Never,
    /// The head of an answer and then one blank after another, for ever.
    Endless,
    /// An answer that breaks off before the length it promised.
    CutOff,
    /// Refuses `response_format` and answers with these positive phrases when it is left out.
    PlainOnly(&'static [&'static str]),
}

/// An answer as it goes over the wire: status, headers and body.
#[derive(Clone, Debug)]
pub struct Exact(pub u16, pub Vec<(&'static str, String)>, pub Bytes);

/// A call that the stand-in got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// With the token.
    pub headers: HeaderMap,
    /// The request.
    pub body: Value,
    /// Path and query.
    pub path: String,
}

#[derive(Default)]
struct Memory {
    replies: HashMap<String, Reply>,
    asked: Vec<Asked>,
}

/// The running stand-in.
#[derive(Clone)]
pub struct Model {
    address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Model {
    /// Starts it on a free port. It ends with the process.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let model = Self {
            address: listener.local_addr()?,
            memory: Arc::default(),
        };
        tokio::spawn(model.clone().serve(listener));
        Ok(model)
    }

    /// The value of `github_models_host`.
    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has every text that contains `word` answered in this way.
    pub fn when(&self, word: &str, reply: Reply) {
        self.remember(|memory| memory.replies.insert(word.to_owned(), reply));
    }

    /// The calls about texts that contain `word`.
    pub fn asked(&self, word: &str) -> Vec<Asked> {
        self.remember(|memory| {
            let about = |asked: &&Asked| asked.body.to_string().contains(word);
            memory.asked.iter().filter(about).cloned().collect()
        })
    }

    fn remember<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let model = self.clone();
            let service = service_fn(move |request| model.clone().answer(request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer> {
        let (parts, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
        let asked = Asked {
            headers: parts.headers,
            body: body.clone(),
            path: parts.uri.to_string(),
        };
        let reply = self.remember(|memory| {
            memory.asked.push(asked.clone());
            let text = body["messages"].to_string();
            let told = memory.replies.iter().find(|(word, _)| text.contains(*word));
            let reply = told.map(|(_, reply)| reply.clone());
            reply.unwrap_or_else(|| Reply::Says(honest(&body)))
        });
        Ok(match reply {
            Reply::Phrases(positive, negative) => says(&phrases(positive, negative)),
            Reply::Late(positive, negative) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                says(&phrases(positive, negative))
            }
            Reply::Says(text) => says(&text),
            Reply::Raw(bytes) => whole(StatusCode::OK, bytes),
            Reply::Choice(choice) => {
                whole(StatusCode::OK, json!({"choices": [choice]}).to_string())
            }
            Reply::Status(status, retry_after) => failure(status, retry_after)?,
            Reply::By(make) => exactly(make(&asked))?,
            Reply::Exactly(exact) => exactly(exact)?,
            Reply::Hangup => bail!("the connection ends here"),
            Reply::Never => std::future::pending().await,
            Reply::Endless => endless(),
            Reply::CutOff => cut_off(),
            Reply::PlainOnly(_) if body.get("response_format").is_some() => {
                let error = json!({"error": {"message": "Unknown parameter: response_format"}});
                whole(StatusCode::BAD_REQUEST, error.to_string())
            }
            Reply::PlainOnly(positive) => says(&phrases(positive, &[])),
        })
    }
}

/// What a good model would say, had it few words.
fn honest(request: &Value) -> String {
    let last = request["messages"]
        .as_array()
        .and_then(|messages| messages.last());
    let text = last
        .and_then(|message| message["content"].as_str())
        .unwrap_or_default();
    let found = |words: &[&'static str]| {
        let found: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| text.contains(word))
            .collect();
        found
    };
    phrases(
        &found(&["lovely", "wonderful"]),
        &found(&["awful", "dreadful"]),
    )
}

fn phrases(positive: &[&str], negative: &[&str]) -> String {
    json!({"positive": positive, "negative": negative}).to_string()
}

fn says(text: &str) -> Answer {
    let message = json!({"role": "assistant", "content": text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let completion = json!({"id": "c", "object": "chat.completion", "choices": [choice]});
    whole(StatusCode::OK, completion.to_string())
}

fn whole(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn exactly(Exact(status, headers, body): Exact) -> Result<Answer> {
    let mut response = whole(StatusCode::from_u16(status)?, body);
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse()?);
    }
    Ok(response)
}

fn failure(status: u16, retry_after: Option<u32>) -> Result<Answer> {
    let body = r#"{"error":{"message":"<script>alert('the stand-in fails')</script>"}}"#;
    let mut response = whole(StatusCode::from_u16(status)?, body);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    Ok(response)
}

fn endless() -> Answer {
    let blanks = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"   "))), ()))
    });
    Response::new(StreamBody::new(blanks).boxed_unsync())
}

fn cut_off() -> Answer {
    let beginning = Bytes::from_static(br#"{"choices": [{"message": {"content": "#);
    let body = stream::iter([Ok(Frame::data(beginning))]);
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    response
        .headers_mut()
        .insert("content-length", 100_000.into());
    response
}
