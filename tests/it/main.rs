//! The integration tests: the real binary as a process of its own, real sockets, real TLS. One file for each topic; the
//! harness in `support` asserts after every test that no secret got out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, and reads best without ceremony"
)]
#![allow(clippy::disallowed_methods, reason = "the harness waits on plain threads")]
#![allow(clippy::print_stderr, reason = "a test that failed shows what sidekey wrote")]

mod accepting;
mod admin;
mod attacks;
mod bounds;
mod breaker;
mod commands;
mod crossing;
mod deadlines;
mod desync;
mod example;
mod explain;
mod fallback;
mod faults;
mod grpc;
mod hmac;
mod http2_callers;
mod http2_upstream;
mod interim;
mod kubernetes;
mod lifecycle;
mod limits;
mod live;
mod location;
mod logging;
mod lost;
mod malformed;
mod matching;
mod metrics;
mod pooling;
mod programs;
mod readme;
mod references;
mod reload;
mod retry;
mod streaming;
mod support;
mod systemd;
mod tls;
mod tls_listener;
mod upstream;
mod vendors;
mod websocket;
mod wire;
