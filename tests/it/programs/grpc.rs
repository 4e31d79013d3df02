//! gRPC from end to end: Google's client or Node's in the clear on HTTP/2, Google's server over TLS. Every kind of call,
//! metadata and trailers, status codes, deadlines, cancelling.

use std::process::Command;

use super::running::Program;
use super::{Behind, Folder, node, python};

impl Behind {
    fn grpc() -> Self {
        Self::grpc_with("", "")
    }

    fn grpc_with(more: &str, tables: &str) -> Self {
        let folder = Folder::new();
        let origin = folder.start(python("grpc_server.py"), "h2");
        let origin_port = origin.wait_for("port ").parse().unwrap();
        Self { sidekey: folder.sidekey(origin_port, more, tables), origin, origin_port }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio"]
fn programs_grpc_calls_of_every_kind_pass() {
    let behind = Behind::grpc();
    behind.run(python("grpc_client.py"), &["calls"]);
    // One message at a time each way: neither is held back for more.
    behind.run(python("grpc_client.py"), &["both"]);
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio, Node's grpc-js"]
fn programs_grpc_calls_of_node_pass() {
    let behind = Behind::grpc();
    behind.run(node("grpc_client.mjs"), &[]);
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio"]
fn programs_grpc_status_codes_details_and_trailing_metadata_pass() {
    let behind = Behind::grpc();
    behind.run(python("grpc_client.py"), &["codes"]);
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio"]
fn programs_grpc_deadlines_reach_the_server_and_end_its_work() {
    let behind = Behind::grpc();
    behind.run(python("grpc_client.py"), &["deadline"]);
    assert_eq!(behind.origin.wait_for("deadline "), "set");
    behind.origin.wait_for("cancelled");
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio"]
fn programs_grpc_calls_that_are_cancelled_end_at_the_server() {
    let behind = Behind::grpc();
    let mut command: Command = python("grpc_client.py");
    command.args([&*behind.base(), "cancel"]);
    let mut caller = Program::start(command);
    assert_eq!(behind.origin.wait_for("deadline "), "none");
    caller.tell("go on");
    caller.finish();
    behind.origin.wait_for("cancelled");
}

/// Its code, the problem's name and text, and the id under which the log has it.
#[test]
#[ignore = "needs programs that `.ci/run` installs: grpcio"]
fn programs_grpc_clients_understand_what_sidekey_refuses() {
    let gone =
        "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\nhttp = \"2\"\nauth.bearer = { token = \"file:token\" }\n";
    let behind = Behind::grpc_with("", gone);
    // No such upstream, and one that is not there.
    behind.run(python("grpc_client.py"), &["refusals", "UNIMPLEMENTED", "UNAVAILABLE"]);
}
