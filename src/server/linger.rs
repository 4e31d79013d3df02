//! Closing a connection so that the caller gets to see the last answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long, and how much, a caller may go on sending what nobody reads, so that it gets to see its answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// Closes the sending side, and reads on for a while: closing a socket with unread bytes in it would reset it, and
/// the caller might lose the answer (RFC 9112 9.6).
pub(super) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let drain = async {
        let mut waste = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        stream.shutdown().await?;
        loop {
            match stream.read(&mut waste).await? {
                0 => return Ok::<_, std::io::Error>(()),
                read => left = left.saturating_sub(read),
            }
            if left == 0 {
                return Ok(());
            }
        }
    };
    // Whatever happens now, the connection is closed after it.
    let _ = timeout(LINGER, drain).await;
}
