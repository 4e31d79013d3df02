//! The head of an answer as it leaves: how its body is framed (RFC 9112 6), and whether the connection goes on after it.

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRAILER, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};
use http_body::Body;

use crate::answer::AnswerBody;
use crate::fields::Fields;
use crate::headers::names_token;
use crate::message::ResponseHead;
use crate::server::date;
use crate::wire::encode::{self, field_line};
use crate::wire::request::FramedRequest;

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
    pub(super) fn new(FramedRequest { head, keeps_alive, .. }: &FramedRequest) -> Self {
        Self {
            is_head: head.method == Method::HEAD,
            is_http10: head.version == Version::HTTP_10,
            keeps_alive: *keeps_alive,
            takes_trailers: names_token(&head.fields, &TE, "trailers"),
        }
    }

    /// RFC 9110 6.4.1, 9.3.2.
    fn takes_no_body(&self, status: StatusCode) -> bool {
        self.is_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// How `body` is framed: by its length, if that is known.
    fn framing(&self, head: &ResponseHead, body: &AnswerBody) -> Framing {
        if self.takes_no_body(head.status) {
            return Framing::Nothing;
        }
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        match length {
            Some(length) => Framing::Length(length),
            None if self.is_http10 => Framing::UntilClose,
            None if self.takes_trailers => Framing::Chunked(announced_trailers(&head.fields)),
            None => Framing::Chunked(Vec::new()),
        }
    }

    /// Writes the head of an answer with `body`: how that is framed, and whether nothing follows it. `is_last`: nothing can.
    pub(super) fn write_head(
        &self,
        head: &mut ResponseHead,
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
        let said = self.write_fields(&mut head.fields, &framing, out);
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
            date::tell(|date| field_line(&DATE, date.as_bytes(), out));
        }
        out.extend_from_slice(b"\r\n");
        (framing, is_last)
    }

    /// Writes what the answer has to say, but for what frames it.
    fn write_fields(&self, fields: &mut Fields, framing: &Framing, out: &mut Vec<u8>) -> Said {
        let mut said = Said::default();
        let may_announce = matches!(framing, Framing::Chunked(_));
        fields.retain(|line| match line.name {
            // Of what a `GET` would have got, the upstream may say it to a `HEAD`.
            b"content-length" => self.is_head,
            b"transfer-encoding" => false,
            b"trailer" => may_announce,
            _ => true,
        });
        for line in fields.iter() {
            match line.name {
                b"content-length" => said.length = true,
                b"connection" => said.close |= line.value.eq_ignore_ascii_case(b"close"),
                b"date" => said.date = true,
                _ => {}
            }
        }
        out.reserve(ROOM + fields.written_length());
        fields.write(out);
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

/// Room for what is written with an answer's fields.
const ROOM: usize = 160;

/// What an answer's fields have said already.
#[derive(Default)]
struct Said {
    close: bool,
    length: bool,
    date: bool,
}

/// The trailers that may leave: no others can be merged into a header that has gone.
fn announced_trailers(fields: &Fields) -> Vec<HeaderName> {
    let names = fields.get_all(&TRAILER).flat_map(|value| value.split(|&b| b == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}
