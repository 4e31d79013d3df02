//! WebSockets: Python's `websockets` and Node's `ws` as callers, Hypercorn and `ws` as upstreams. Text, bytes, large
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
    let behind = Behind::start_with(Kind::Hypercorn, "h2", "http = \"2\"", "");
    behind.run(python("websocket.py"), &[]);
    behind.origin.wait_for("socket closed");
    behind.run(node("websocket.mjs"), &[]);
    behind.origin.wait_for("socket closed");
}

/// The upstream speaks HTTP/2 as well, and there is a choice.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Hypercorn, websockets"]
fn programs_web_sockets_pass_where_the_upstream_prefers_http2() {
    let behind = Behind::start_with(Kind::Hypercorn, "h2,http/1.1", "", "");
    behind.run(python("websocket.py"), &[]);
}
