//! An answer to what never comes to the request path, because it is no request.

use bytes::{BufMut, Bytes, BytesMut};
use http::Response;

use crate::correlation::Correlation;
use crate::error::ProxyError;
use crate::telemetry::access::AccessRecord;

/// As [`render`], of something of which there may be too much for the log.
pub(super) fn unlogged(error: &ProxyError) -> Bytes {
    wire(&error.to_response(&Correlation::new().request_id))
}

/// The whole answer as it goes on the wire; logged like any other.
pub(super) fn render(error: &ProxyError) -> Bytes {
    let mut record = AccessRecord::malformed();
    record.refused(error);
    let response = error.to_response(record.request_id());
    record.received(response.body().len());
    record.finish();
    wire(&response)
}

fn wire(response: &Response<Bytes>) -> Bytes {
    let mut wire = BytesMut::with_capacity(1024);
    wire.put_slice(format!("HTTP/1.1 {}\r\n", response.status()).as_bytes());
    for (name, value) in response.headers() {
        wire.put_slice(name.as_str().as_bytes());
        wire.put_slice(b": ");
        wire.put_slice(value.as_bytes());
        wire.put_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let length = response.body().len();
    wire.put_slice(format!("date: {date}\r\ncontent-length: {length}\r\n\r\n").as_bytes());
    wire.put_slice(response.body());
    wire.freeze()
}
