//! WebSockets: Python's `websockets`, Node's `ws` and undici as callers, Hypercorn and `ws` as upstreams. Text, bytes, large
//! messages, pings, closing codes from either side.

use super::{Behind, Kind, node, python};

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, websockets"]
fn programs_web_sockets_pass() {
    // Hypercorn does not tell the code that it got.
    for (kind, closed) in [(Kind::Hypercorn, "socket closed"), (Kind::Node, "socket closed 1000")] {
        let behind = Behind::start(kind);
        behind.run(python("websocket.py"), &[]);
        behind.origin.wait_for(closed);
        behind.run(node("websocket.mjs"), &[]);
        behind.origin.wait_for(closed);
    }
}

/// RFC 8441 between sidekey and Hypercorn, and HTTP/1.1 before.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Hypercorn, Node, websockets"]
fn programs_web_sockets_pass_in_http2() {
    for caller in [|| python("websocket.py"), || node("websocket.mjs")] {
        for socket in ["one", "ends"] {
            // One each: what comes on a stream that Hypercorn has closed makes it close the connection.
            let behind = Behind::start_with(Kind::Hypercorn, "h2", "http = \"2\"", "");
            behind.run(caller(), &[socket]);
            behind.sidekey.access(|record| record["status"] == 101 && record["sent"].as_u64() > Some(0));
        }
    }
}

/// RFC 8441 from undici to sidekey, and HTTP/1.1 or RFC 8441 behind.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Hypercorn, Node, undici"]
fn programs_that_ask_for_web_sockets_in_http2_have_them() {
    for (kind, alpn, http) in [(Kind::Node, "http/1.1", "auto"), (Kind::Hypercorn, "h2", "2")] {
        // After both have said in frames that it is over, neither undici nor Hypercorn ends its stream.
        let more = format!("http = {http:?}\ntimeouts = {{ idle = \"5s\", tunnel = \"5s\" }}");
        let behind = Behind::over_tls_to(kind, alpn, &more);
        behind.run(node("websocket_http2.mjs"), &[&behind.file("ca.pem")]);
        assert!(!behind.sidekey.log().contains("\"status\":101"), "HTTP/1.1 was spoken");
        behind.sidekey.access(|record| record["status"] == 200 && record["received"].as_u64() > Some(9_000_000));
    }
}

/// The upstream speaks HTTP/2 as well, and there is a choice.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Hypercorn, websockets"]
fn programs_web_sockets_pass_where_the_upstream_prefers_http2() {
    let behind = Behind::start_with(Kind::Hypercorn, "h2,http/1.1", "", "");
    behind.run(python("websocket.py"), &[]);
}
