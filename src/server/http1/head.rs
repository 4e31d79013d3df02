//! The head of an answer as it leaves: how its body is framed (RFC 9112 6), and whether the connection goes on after it.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version, response};
use http_body::Body;

use crate::answer::AnswerBody;
use crate::headers::names_token;
use crate::wire::encode::{self, field_line};
use crate::wire::request::RequestHead;

thread_local! {
    /// The second that was told last, and how: a calendar is consulted once a second, not once an answer.
    static NOW: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// The terms on which a request is answered: what it says of its answer.
pub(super) struct Terms {
    is_head: bool,
    is_http10: bool,
    keeps_alive: bool,
    takes_trailers: bool,
}

/// How the body of an answer is framed.
pub(super) enum Framing {
    /// There is none, whatever the head says of its length.
    Nothing,
    Length(u64),
    /// With the trailers of these names, if it comes to that.
    Chunked(Vec<HeaderName>),
    UntilClose,
}

impl Terms {
    pub(super) fn new(RequestHead { parts, keeps_alive, .. }: &RequestHead) -> Self {
        Self {
            is_head: parts.method == Method::HEAD,
            is_http10: parts.version == Version::HTTP_10,
            keeps_alive: *keeps_alive,
            takes_trailers: names_token(&parts.headers, &TE, "trailers"),
        }
    }

    /// RFC 9110 6.4.1, 9.3.2.
    fn takes_no_body(&self, status: StatusCode) -> bool {
        self.is_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// How `body` is framed: by its length, if that is known.
    fn framing(&self, head: &response::Parts, body: &AnswerBody) -> Framing {
        if self.takes_no_body(head.status) {
            return Framing::Nothing;
        }
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        match length {
            Some(length) => Framing::Length(length),
            None if self.is_http10 => Framing::UntilClose,
            None if self.takes_trailers => Framing::Chunked(announced_trailers(&head.headers)),
            None => Framing::Chunked(Vec::new()),
        }
    }

    /// Writes the head of an answer with `body`: how that is framed, and whether nothing follows it. `is_last`: nothing can.
    pub(super) fn write_head(
        &self,
        head: &response::Parts,
        body: &AnswerBody,
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> (Framing, bool) {
        let framing = self.framing(head, body);
        let begin = out.len();
        encode::status_line(head, out);
        if self.is_http10
            && let Some(minor) = out.get_mut(begin + b"HTTP/1.".len())
        {
            *minor = b'0';
        }
        let said = self.write_fields(head, &framing, out);
        let is_last = is_last || said.close || !self.keeps_alive || matches!(framing, Framing::UntilClose);
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            match (is_last, self.is_http10) {
                (true, false) if !said.close => field_line(&CONNECTION, b"close", out),
                (false, true) => field_line(&CONNECTION, b"keep-alive", out),
                (true | false, _) => {}
            }
        }
        match framing {
            Framing::Length(length) => field_line(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes(), out),
            Framing::Chunked(_) => field_line(&TRANSFER_ENCODING, b"chunked", out),
            Framing::Nothing if self.is_head && !said.length => self.write_own_length(head.status, body, out),
            Framing::Nothing | Framing::UntilClose => {}
        }
        if !said.date {
            write_date(out);
        }
        out.extend_from_slice(b"\r\n");
        (framing, is_last)
    }

    /// Writes what the answer has to say, but for what frames it.
    fn write_fields(&self, head: &response::Parts, framing: &Framing, out: &mut Vec<u8>) -> Said {
        let mut said = Said::default();
        out.reserve(ROOM + head.headers.len() * AVERAGE);
        for (name, value) in &head.headers {
            if *name == CONTENT_LENGTH {
                // Of what a `GET` would have got, the upstream may say it to a `HEAD`.
                if !self.is_head {
                    continue;
                }
                said.length = true;
            } else if *name == TRANSFER_ENCODING || (*name == TRAILER && !matches!(framing, Framing::Chunked(_))) {
                continue;
            } else if *name == CONNECTION {
                said.close |= value.as_bytes().eq_ignore_ascii_case(b"close");
            } else if *name == DATE {
                said.date = true;
            }
            field_line(name, value.as_bytes(), out);
        }
        said
    }

    /// The length of sidekey's own text, which a `HEAD` does not get.
    fn write_own_length(&self, status: StatusCode, body: &AnswerBody, out: &mut Vec<u8>) {
        let may_have_one = !Self { is_head: false, ..*self }.takes_no_body(status);
        if let Some(length @ 1..) = body.size_hint().exact()
            && may_have_one
        {
            field_line(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes(), out);
        }
    }
}

/// Room for a head without its fields, and for one of these.
const ROOM: usize = 160;
const AVERAGE: usize = 40;

/// What an answer's fields have said already.
#[derive(Default)]
struct Said {
    close: bool,
    length: bool,
    date: bool,
}

/// The trailers that may leave: no others can be merged into a header that has gone.
fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = headers.get_all(TRAILER).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// RFC 9110 6.6.1: who has a clock says when the answer was made.
fn write_date(out: &mut Vec<u8>) {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    NOW.with_borrow_mut(|(told, text)| {
        if *told != second {
            (*told, *text) = (second, httpdate::fmt_http_date(now));
        }
        field_line(&DATE, text.as_bytes(), out);
    });
}
