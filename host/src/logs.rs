//! Where a component's stdout and stderr go: a file each, and the console's stderr.

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
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// How many bytes a component may hand over in one call.
const WRITE_SIZE: usize = 1 << 20;

/// The two output streams of a component, shared by its instances.
#[derive(Clone)]
pub struct Logs {
    /// For the component's stdout.
    pub stdout: LogStream,
    /// For the component's stderr.
    pub stderr: LogStream,
}

/// One output stream.
#[derive(Clone)]
pub struct LogStream {
    file: Option<Arc<File>>,
    to_console: bool,
}

impl Logs {
    /// Opens `<component>_stdout.txt` and `<component>_stderr.txt` in `folder` for appending.
    pub fn open(folder: Option<&Path>, component: &str, to_console: bool) -> Result<Self> {
        let stream = |name: &str| -> Result<LogStream> {
            let file = folder.map(|folder| append_to(folder, &format!("{component}_{name}.txt")));
            Ok(LogStream {
                file: file.transpose()?.map(Arc::new),
                // Without a file the console is the only place left.
                to_console: to_console || folder.is_none(),
            })
        };
        Ok(Self {
            stdout: stream("stdout")?,
            stderr: stream("stderr")?,
        })
    }
}

fn append_to(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .with_context(|| format!("cannot write the log file {}", path.display()))
}

impl LogStream {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file {
            (&**file).write_all(bytes)?;
        }
        if self.to_console {
            io::stderr().write_all(bytes)?;
        }
        Ok(())
    }
}

/// Written to without waiting: both places are local, and a component's lines stay in order.
impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let written = LogStream::write(self, &bytes);
        written.map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_SIZE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
