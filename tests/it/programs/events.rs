//! Answers that come over time: server-sent events leave at once, a caller that has gone ends the upstream's work, and
//! silence is borne as long as the config says.

use super::curl::curl;
use super::running::Program;
use super::{Behind, KINDS, Kind, node, python};

/// The upstream sends an event only once the caller has said, in another request, that it has the one before. So this
/// ends only if no event is held back until there are more.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's and Node's clients"]
fn programs_each_server_sent_event_leaves_at_once() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        for (client, command) in [
            ("httpx-sse", python("events.py")),
            ("aiohttp", python("events.py")),
            ("eventsource", node("events.mjs")),
            ("fetch", node("events.mjs")),
        ] {
            behind.run(command, &[client]);
            behind.origin.wait_for("stream finished");
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's and Node's clients"]
fn programs_a_caller_that_goes_ends_the_upstreams_stream() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        for (client, command) in [("httpx-sse", python("events.py")), ("eventsource", node("events.mjs"))] {
            let mut command = command;
            command.args([&*behind.base(), client, "and wait"]);
            let caller = Program::start(command);
            caller.wait_for("has an event");
            caller.signal("KILL");
            // It may only have closed its side, and still read: what is written next tells.
            for _ in 0..5 {
                curl(&[&behind.url("/acknowledge")]);
            }
            behind.origin.wait_for("stream cancelled");
        }
    }
}

/// Within the header and within the body; with deadlines that are shorter, neither would come.
#[test]
#[ignore = "takes half a minute; needs programs that `.ci/run` installs: Starlette, httpx"]
fn programs_long_polls_are_answered_after_half_a_minute_of_silence() {
    let more = "timeouts = { response = \"2m\", idle = \"2m\" }";
    let behind = Behind::start_with(Kind::Hypercorn, "http/1.1", more, "");
    behind.run(python("polls.py"), &["31", "complete"]);
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, httpx"]
fn programs_long_polls_end_with_the_deadline() {
    let more = "timeouts = { response = \"1s\", idle = \"1s\" }";
    let behind = Behind::start_with(Kind::Hypercorn, "http/1.1", more, "");
    behind.run(python("polls.py"), &["31", "cut"]);
}
