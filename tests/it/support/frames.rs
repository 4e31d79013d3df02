//! HTTP/2 a frame at a time, for an origin that does what a library would not. It reads no header: requests are told apart
//! by their streams.

use super::Conversation;
use super::frame::{ACK, END_HEADERS, END_STREAM, Frame, PREFACE, fields, frame};

/// The types of frames (RFC 9113 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    PushPromise = 5,
    Ping = 6,
    GoAway = 7,
    Continuation = 9,
}

/// A conversation in HTTP/2 of which the beginning is over.
pub(crate) struct Frames<'a> {
    pub(crate) conversation: &'a mut Conversation,
    /// Whether PING is answered.
    pub(crate) pongs: bool,
}

impl<'a> Frames<'a> {
    /// With these settings of the origin's. `None`: no preface came.
    pub(crate) fn begin(conversation: &'a mut Conversation, settings: &[(u16, u32)]) -> Option<Self> {
        let mut frames = Self::begin_silent(conversation)?;
        frames.settings(settings);
        Some(frames)
    }

    /// One in which the origin says nothing yet. `None`: no preface came.
    pub(crate) fn begin_silent(conversation: &'a mut Conversation) -> Option<Self> {
        let preface = conversation.exactly(PREFACE.len()).ok()?;
        assert_eq!(preface, PREFACE);
        Some(Self { conversation, pongs: true })
    }

    pub(crate) fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()))
            .collect();
        self.send(Kind::Settings, 0, 0, &payload);
    }

    pub(crate) fn send(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.conversation.send(frame(kind as u8, flags, stream, payload));
    }

    /// The next frame, whatever it is. `None`: no other comes.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let frame = Frame::read(|length| self.conversation.exactly(length)).ok()?;
        if frame.is(Kind::Settings) && frame.flags & ACK == 0 {
            self.send(Kind::Settings, ACK, 0, &[]);
        }
        if frame.is(Kind::Ping) && frame.flags & ACK == 0 && self.pongs {
            self.send(Kind::Ping, ACK, 0, &frame.payload);
        }
        Some(frame)
    }

    /// The next frame of this kind.
    pub(crate) fn until(&mut self, kind: Kind) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.is(kind) {
                return Some(frame);
            }
        }
    }

    /// The next frame on this stream.
    pub(crate) fn next_of(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.stream == stream {
                return Some(frame);
            }
        }
    }

    /// The stream of the next request, of which the whole has come.
    pub(crate) fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next()?;
            let is_message = frame.is(Kind::Headers) || frame.is(Kind::Data);
            if is_message && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    /// The header of an answer.
    pub(crate) fn head(&mut self, stream: u32, status: u16, fields: &[(&str, &str)], is_last: bool) {
        let flags = END_HEADERS | if is_last { END_STREAM } else { 0 };
        self.send(Kind::Headers, flags, stream, &block(Some(status), fields));
    }

    /// The same in as many frames as it takes.
    pub(crate) fn head_in_pieces(&mut self, stream: u32, status: u16, fields: &[(&str, &str)]) {
        let block = block(Some(status), fields);
        let pieces: Vec<_> = block.chunks(16_000).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let kind = if index == 0 { Kind::Headers } else { Kind::Continuation };
            let end = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
            self.send(kind, end, stream, piece);
        }
    }

    pub(crate) fn data(&mut self, stream: u32, data: &[u8], is_last: bool) {
        self.send(Kind::Data, if is_last { END_STREAM } else { 0 }, stream, data);
    }

    pub(crate) fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.send(Kind::Headers, END_HEADERS | END_STREAM, stream, &block(None, fields));
    }

    /// A short 200.
    pub(crate) fn answer(&mut self, stream: u32) {
        self.head(stream, 200, &[], false);
        self.data(stream, b"ok", true);
    }

    /// Answers whatever comes.
    pub(crate) fn answer_all(&mut self) {
        while let Some(stream) = self.request() {
            self.answer(stream);
        }
    }

    pub(crate) fn reset(&mut self, stream: u32, reason: h2::Reason) {
        self.send(Kind::Reset, 0, stream, &u32::from(reason).to_be_bytes());
    }

    pub(crate) fn go_away(&mut self, last: u32, debug: &[u8]) {
        self.go_away_for(last, h2::Reason::NO_ERROR, debug);
    }

    pub(crate) fn go_away_for(&mut self, last: u32, reason: h2::Reason, debug: &[u8]) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(u32::from(reason).to_be_bytes());
        payload.extend(debug);
        self.send(Kind::GoAway, 0, 0, &payload);
    }
}

impl Frame {
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u8
    }

    /// The number in a `RST_STREAM` or a `WINDOW_UPDATE`.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

/// The header block of an answer, or of its trailers.
fn block(status: Option<u16>, others: &[(&str, &str)]) -> Vec<u8> {
    let status = status.map(|status| status.to_string());
    let status = status.iter().map(|status| (":status", status.as_str()));
    fields(&status.chain(others.iter().copied()).collect::<Vec<_>>())
}
