//! The sockets: listeners, connections, and the ways a connection can end that HTTP libraries avoid.
//!
//! A connection can be told to end with a reset instead of a close, and to send given bytes in place of the
//! answer that the HTTP library writes (for answers it would refuse to write).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::emulator::Shared;
use crate::journal::Host;
use crate::rate::Road;
use crate::router;

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// What is common to all requests of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) host: Host,
    pub(crate) road: Road,
    reset: AtomicBool,
    raw: Mutex<Option<Bytes>>,
}

impl Connection {
    /// From now on the end of this connection is a reset.
    pub(crate) fn end_with_reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// The next answer is replaced by these bytes, and nothing is sent after them.
    pub(crate) fn replace_answer(&self, bytes: Bytes) {
        *self.raw.lock() = Some(bytes);
    }
}

/// Accepts connections until the future is dropped, which also ends every connection.
pub(crate) async fn serve(listener: TcpListener, host: Host, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or a peer that is gone already: neither ends the listener.
                Err(_) => {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        connections.spawn(converse(stream, host, Arc::clone(&shared)));
    }
}

async fn converse(stream: TcpStream, host: Host, shared: Arc<Shared>) {
    // Without it the last piece of an answer may wait 40 ms for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let road = shared.relay.read().connect();
    let connection = Arc::new(Connection {
        number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
        host,
        road,
        reset: AtomicBool::new(false),
        raw: Mutex::new(None),
    });
    let wire = Wire { stream, connection: Arc::clone(&connection), replacing: None };
    let service = service_fn(move |request| {
        let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
        async move { router::answer(shared, connection, request).await }
    });
    // Errors are the ends of connections, wanted or not; the journal has what matters of them.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(wire), service).await;
}

/// A socket that knows its connection's wishes.
struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
    replacing: Option<Bytes>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(bytes) = this.connection.raw.lock().take() {
            this.replacing = Some(bytes);
        }
        if let Some(bytes) = &mut this.replacing {
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
                bytes.advance(written);
            }
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    // Without it the HTTP library copies every body into a buffer of its own.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replacing.is_none() && self.connection.raw.lock().is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.reset.load(Ordering::Acquire) {
            // A shutdown would send the orderly end that a reset is not.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Acquire) {
            // If it fails the connection ends orderly, which a test that wants a reset will notice.
            let _ = self.stream.set_zero_linger();
        }
    }
}
