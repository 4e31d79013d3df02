//! The key of a WebSocket, and what it is answered with (RFC 6455 4.2.2). HTTP/2 has neither (RFC 8441 5): a side that speaks
//! it is not asked for them, and sidekey says them to the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use sha1::{Digest, Sha1};

use crate::random;

/// What a key is answered with (RFC 6455 1.3).
const MARK: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key of sidekey's own. It finds out who does not speak the protocol, and is no secret.
pub(super) fn fresh() -> HeaderValue {
    in_base64(&random::number().to_ne_bytes())
}

/// What whoever knows WebSocket makes of `key`.
pub(super) fn accept(key: &[u8]) -> HeaderValue {
    in_base64(&Sha1::new().chain_update(key).chain_update(MARK).finalize())
}

#[expect(clippy::expect_used, reason = "base64 holds nothing that a field may not")]
fn in_base64(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(STANDARD.encode(bytes)).expect("base64 in a field")
}

#[cfg(test)]
mod tests {
    use super::accept;

    #[test]
    fn a_key_is_answered_as_in_rfc_6455() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
