//! The clients that SDKs are made of: given sidekey's URL as base URL, they work as with the vendor's, without a key.

use super::{Behind, KINDS, node, python};

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's clients"]
fn programs_python_clients_work_with_a_base_url() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        for client in ["requests", "httpx", "aiohttp"] {
            behind.run(python("clients.py"), &[client]);
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node"]
fn programs_node_clients_work_with_a_base_url() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        for client in ["fetch", "undici", "http"] {
            behind.run(node("clients.mjs"), &[client]);
        }
    }
}
