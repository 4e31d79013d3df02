//! The request line: a method, a target that is a path or an absolute URL, and a version that is spoken here.

use http::uri::{Scheme, Uri};

use crate::wire::Malformed;
use crate::wire::characters::{TARGET, class, is_token};

/// `http::Uri` takes no longer one, which an absolute target is read with, and what goes to a vendor in HTTP/2.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// Where the parts of a request line are, counted from its beginning.
#[derive(Clone, Copy)]
pub(super) struct RequestLine {
    pub(super) method: usize,
    pub(super) target: usize,
    pub(super) is_http10: bool,
}

impl RequestLine {
    pub(super) fn read(line: &[u8]) -> Result<Self, Malformed> {
        let first = memchr::memchr(b' ', line).ok_or(Malformed::RequestLine)?;
        let last = memchr::memrchr(b' ', line).ok_or(Malformed::RequestLine)?;
        let method = line.get(..first).unwrap_or_default();
        let target = line.get(first + 1..last).ok_or(Malformed::RequestLine)?;
        if !is_token(method) {
            return Err(Malformed::RequestLine);
        }
        let is_http10 = match line.get(last + 1..).unwrap_or_default() {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Malformed::Version);
            }
            _ => return Err(Malformed::RequestLine),
        };
        let legal = is_path(target) || (are_legal(target) && is_other_form(method, target));
        if legal { Ok(Self { method: first, target: last, is_http10 }) } else { Err(Malformed::Target) }
    }
}

/// A path and perhaps a query, of what a URL may hold.
pub(in crate::wire) fn is_path(target: &[u8]) -> bool {
    target.starts_with(b"/") && target.len() <= MAX_TARGET && are_legal(target) && !has_quote_in_query(target)
}

fn are_legal(target: &[u8]) -> bool {
    target.iter().all(|&b| class(b) & TARGET != 0)
}

/// `http::Uri`, too, takes a quotation mark in a path alone.
fn has_quote_in_query(target: &[u8]) -> bool {
    memchr::memchr(b'"', target).is_some() && target.iter().skip_while(|&&b| b != b'?').any(|&b| b == b'"')
}

/// An absolute http URL; or, for `CONNECT` alone, an authority, so that the request path can answer 405.
fn is_other_form(method: &[u8], target: &[u8]) -> bool {
    let Ok(uri) = Uri::try_from(target) else { return false };
    match uri.scheme() {
        Some(scheme) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
        None => method == b"CONNECT" && uri.authority().is_some(),
    }
}
