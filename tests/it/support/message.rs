//! Requests and responses as the harness reads them.

use super::wire::{Broken, Wire};

/// Header fields or trailers, in order; names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The one value of `name`. More than one fails the test.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` is there more than once: {all:?}");
        all.first().copied()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// A request as it reached an origin.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As it stood on the wire: method, target and version.
    pub(crate) line: String,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Request {
    pub(super) fn read_head(wire: &mut Wire) -> Result<Self, Broken> {
        let line = wire.line()?;
        let fields = wire.fields()?;
        let framings = (fields.get("content-length"), fields.get("transfer-encoding"));
        assert!(!matches!(framings, (Some(_), Some(_))), "a request is framed in one way");
        Ok(Self { line, fields, body: Vec::new(), trailers: Fields::default() })
    }

    pub(super) fn read_body(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        if let Some(length) = self.fields.get("content-length") {
            self.body = wire.exactly(length.parse().expect("a length is a number"))?;
        } else if let Some(coding) = self.fields.get("transfer-encoding") {
            assert_eq!(coding, "chunked");
            self.trailers = wire.chunked(&mut self.body)?;
        }
        Ok(())
    }

    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).expect("a request line has a target")
    }
}

/// A response as it reached a caller.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// The statuses of the interim responses before it.
    pub(crate) interim: Vec<u16>,
}

impl Response {
    /// Reads up to the end of the header, past interim responses.
    pub(super) fn read_head(wire: &mut Wire) -> Result<Self, Broken> {
        let mut interim = Vec::new();
        loop {
            let line = wire.line()?;
            let (version, rest) = line.split_once(' ').expect("a status line has a version");
            let status: u16 = rest.get(..3).and_then(|code| code.parse().ok()).expect("a status line has a code");
            let fields = wire.fields()?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let (body, trailers) = (Vec::new(), Fields::default());
            return Ok(Self { version: version.to_owned(), status, fields, body, trailers, interim });
        }
    }

    /// Reads the body of the answer to a request of `method`. What was read before it broke stays in `body`.
    pub(super) fn read_body(&mut self, wire: &mut Wire, method: &str) -> Result<(), Broken> {
        if method == "HEAD" || matches!(self.status, 101 | 204 | 304) {
            return Ok(());
        }
        match (self.fields.get("content-length"), self.fields.get("transfer-encoding")) {
            (Some(_), Some(_)) => panic!("a response is framed in one way"),
            (Some(length), None) => {
                let length: usize = length.parse().expect("a length is a number");
                while self.body.len() < length {
                    self.body.extend(wire.exactly(1)?);
                    let piece = (length - self.body.len()).min(wire.ready());
                    self.body.extend(wire.exactly(piece)?);
                }
            }
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                self.trailers = wire.chunked(&mut self.body)?;
            }
            (None, None) => {
                let (body, broken) = wire.rest();
                self.body = body;
                if broken != Broken::Closed {
                    return Err(broken);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The last part of the `type` of sidekey's own answer.
    pub(crate) fn kind(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("an own answer is JSON");
        let kind = problem["type"].as_str().and_then(|kind| kind.strip_prefix("urn:sidekey:problem:"));
        kind.expect("a type of ours").to_owned()
    }

    /// Asserts that this is sidekey's own answer (RFC 9457, RFC 9209): `error` is that of `Proxy-Status`.
    pub(crate) fn assert_own(&self, status: u16, error: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.fields.get("content-type"), Some("application/problem+json"));
        assert_eq!(self.fields.get("proxy-status"), Some(format!("sidekey; error={error}").as_str()));
        let id = self.fields.get("x-request-id").expect("an own answer has an id");
        if self.body.is_empty() {
            return;
        }
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("an own answer is JSON");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], id);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
        }
    }

    /// Asserts that this is the upstream's own answer.
    pub(crate) fn assert_passed_on(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.fields.has("proxy-status"));
    }
}
