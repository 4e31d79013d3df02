//! Another process on the machine reaches the port: with callers in the config, it gets 407 and nothing else.

use crate::support::{Origin, Response, Sidekey, get, get_from, get_with};

/// An upstream with every kind of place for a key, and one caller.
struct Guarded {
    origin: Origin,
    sidekey: Sidekey,
}

impl Guarded {
    fn start(callers: &str) -> Self {
        let origin = Origin::ok();
        let sidekey = Sidekey::start(&format!("{}{callers}", origin.upstream("api")));
        Self { origin, sidekey }
    }

    fn ask(&self, fields: &str) -> Response {
        self.sidekey.ask(get_with("/api/x", fields))
    }
}

const SHOP: &str = "[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n";

#[test]
fn whoever_brings_no_token_gets_407_and_reaches_nothing() {
    let guarded = Guarded::start(SHOP);
    let right = guarded.sidekey.secret("file:shop").to_owned();
    for fields in [
        String::new(),
        "Proxy-Authorization: Bearer \r\n".to_owned(),
        "Proxy-Authorization: Bearer 0123456789abcdef0123\r\n".to_owned(),
        "Authorization: Bearer 0123456789abcdef0123\r\n".to_owned(),
        "Proxy-Authorization: Basic c2hvcDpzaG9w\r\n".to_owned(),
        "Proxy-Authorization: Negotiate x\r\n".to_owned(),
        // Nearly right, or in a place that is not one.
        format!("Proxy-Authorization: Bearer {}\r\n", &right[..right.len() - 1]),
        format!("Proxy-Authorization: Bearer {right}x\r\n"),
        format!("Proxy-Authorization: {right}\r\n"),
        format!("X-Token: {right}\r\nCookie: token={right}\r\n"),
        format!("Proxy-Authorization: Bearer {right}\r\nProxy-Authorization: Bearer other-than-that\r\n"),
    ] {
        let answer = guarded.ask(&fields);
        answer.assert_own(407, "http_request_denied");
        // Each by itself, as some clients look for a field that begins with the scheme they know.
        let challenges = answer.fields.all("proxy-authenticate");
        assert_eq!(challenges, ["Basic realm=\"sidekey\"", "Bearer realm=\"sidekey\""]);
    }
    assert_eq!(guarded.origin.connections(), 0);
}

#[test]
fn whoever_is_unknown_learns_no_names() {
    let guarded = Guarded::start(SHOP);
    for request in [get("/nothing/x"), get_from("unknown.example", "/x"), get_from("api.localhost", "/x")] {
        guarded.sidekey.ask(request).assert_own(407, "http_request_denied");
    }
}

#[test]
fn whoever_is_known_learns_that_a_name_is_wrong() {
    let guarded = Guarded::start(SHOP);
    let token = guarded.sidekey.secret("file:shop").to_owned();
    let with = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        guarded.sidekey.ask(request)
    };
    with("/nothing/x", "localhost").assert_own(404, "destination_not_found");
    with("/x", "unknown.example").assert_own(421, "destination_not_found");
}

#[test]
fn a_process_is_known_by_its_user_and_group_on_a_unix_socket_alone() {
    // Tests may run as any user: what is compared are its own ids, and others.
    let own = std::fs::metadata("/proc/self").unwrap();
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&own), std::os::unix::fs::MetadataExt::gid(&own));
    let listeners = "[listen.socket]\naddress = \"unix:app.sock\"\n[listen.local]\naddress = \"127.0.0.1:0\"\n";
    for (condition, known) in [
        (format!("uid = {uid}"), true),
        (format!("gid = {gid}"), true),
        (format!("uid = {uid}\ngid = {gid}"), true),
        (format!("uid = {}", uid + 1), false),
        (format!("uid = {uid}\ngid = {}", gid + 1), false),
        (format!("uid = {uid}\ntoken = \"file:shop\""), false),
    ] {
        let callers = format!("{listeners}[caller.shop]\n{condition}\nupstreams = [\"api\"]\n");
        let guarded = Guarded::start(&callers);
        let mut caller = guarded.sidekey.connect_to_file(&guarded.sidekey.folder().join("app.sock"));
        caller.send(get("/api/x"));
        assert_eq!(caller.response().status, if known { 200 } else { 407 }, "{condition}");
        // Nobody vouches for the other end of TCP.
        let mut caller = guarded.sidekey.connect_to(guarded.sidekey.nth_address(1));
        caller.send(get("/api/x"));
        assert_eq!(caller.response().status, 407, "{condition}");
    }
}

#[test]
fn of_two_callers_that_a_process_could_be_it_is_the_one_told_most_surely() {
    let own = std::fs::metadata("/proc/self").unwrap();
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&own), std::os::unix::fs::MetadataExt::gid(&own));
    let [user, group] = [format!("uid = {uid}"), format!("gid = {gid}")];
    let both = format!("{user}\n{group}");
    for (first, second, told) in
        [(&both, &user, "first"), (&user, &both, "second"), (&user, &group, "first"), (&group, &user, "second")]
    {
        let caller = |name: &str, ids: &str| format!("[caller.{name}]\n{ids}\nupstreams = [\"api\"]\n");
        let listen = "[listen.socket]\naddress = \"unix:app.sock\"\n";
        let guarded = Guarded::start(&format!("{listen}{}{}", caller("first", first), caller("second", second)));
        let mut connected = guarded.sidekey.connect_to_file(&guarded.sidekey.folder().join("app.sock"));
        connected.send(get("/api/x"));
        assert_eq!(connected.response().status, 200);
        assert_eq!(guarded.sidekey.access(|record| record["caller"].is_string())["caller"], told);
    }
}
