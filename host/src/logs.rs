//! Output of components, and of the host itself.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How many bytes a component may write in one call.
const MAX_WRITE: usize = 1 << 20;

/// Writes a line to stderr. Unlike `eprintln!`, does not panic where stderr is closed.
pub fn print_error(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}

/// The output streams of a component, shared by its instances.
pub struct Logs {
    /// The component's stdout.
    pub stdout: LogStream,
    /// The component's stderr.
    pub stderr: LogStream,
}

/// An output stream, copied to the host's stderr and, if there is a log folder, to a file.
#[derive(Clone)]
pub struct LogStream(Option<Arc<File>>);

impl Logs {
    /// Opens `<component>_stdout.txt` and `<component>_stderr.txt` in `folder` for appending.
    pub fn open(folder: Option<&Path>, component: &str) -> Result<Self> {
        let open = |name: &str| -> Result<LogStream> {
            let Some(folder) = folder else {
                return Ok(LogStream(None));
            };
            let path = folder.join(format!("{component}_{name}.txt"));
            let file = File::options().create(true).append(true).open(&path);
            let file = file.with_context(|| {
                format!(
                    "cannot write the log file {}: choose another folder with --state-dir, or none with --state-dir ''",
                    path.display()
                )
            });
            Ok(LogStream(Some(Arc::new(file?))))
        };
        Ok(Self {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
        })
    }
}

impl LogStream {
    /// Writes without waiting, so that the lines of a component stay in order. Ignores errors: a
    /// full disk must not fail requests.
    fn append(&self, bytes: &[u8]) {
        if let Some(file) = &self.0 {
            _ = (&**file).write_all(bytes);
        }
        _ = io::stderr().write_all(bytes);
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// WASI 0.3.
impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// WASI 0.2.
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
