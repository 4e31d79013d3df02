//! The fields that say how a message is framed, and what becomes of its connection.

use crate::wire::Malformed;

/// How a message says that its body is framed.
#[derive(Clone, Copy, Default)]
pub(in crate::wire) struct FramingFields {
    pub(in crate::wire) content_length: Option<u64>,
    pub(in crate::wire) chunked: bool,
    pub(in crate::wire) hosts: usize,
    /// How many fields ask for another protocol, and whether the last of them is for WebSocket alone.
    upgrades: usize,
    websocket: bool,
    /// What `Connection` says of the connection.
    closes: bool,
    keeps_alive: bool,
}

impl FramingFields {
    /// Whether WebSocket is asked for, and nothing beside it.
    pub(in crate::wire) fn asks_for_websocket(&self) -> bool {
        self.upgrades == 1 && self.websocket
    }

    /// Whether the connection goes on after the message (RFC 9112 9.3).
    pub(in crate::wire) fn keeps_alive(&self, is_http10: bool) -> bool {
        !self.closes && (self.keeps_alive || !is_http10)
    }

    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrades += 1;
                self.websocket = value.trim_ascii().eq_ignore_ascii_case(b"websocket");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    self.closes |= option.eq_ignore_ascii_case(b"close");
                    self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // Even two that agree: an origin may read the first, the last, or their list (RFC 9110 8.6).
                if self.content_length.is_some() {
                    return Err(Malformed::ContentLength);
                }
                self.content_length = Some(decimal(value.trim_ascii()).ok_or(Malformed::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Digits alone, as RFC 9110 8.6 has it: no sign, no blanks, no list; and no more than a signed reader can hold.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |sum, &b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))?;
    i64::try_from(number).is_ok().then_some(number)
}
