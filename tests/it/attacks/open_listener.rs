//! Somebody else in the network finds a listener, and spends the credentials behind it.

use crate::support::{Origin, Sidekey, check_with, command, get, get_from};

const OPEN: &str = "[listen.a]\naddress = \"0.0.0.0:0\"\n";

#[test]
fn a_listener_that_others_may_reach_does_not_start_by_itself() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    for listen in [OPEN, &OPEN.replace("0.0.0.0", "[::]"), &format!("{OPEN}dangerously_open = false\n")] {
        let ended = check_with(folder.path(), &(listen.to_owned() + &origin.upstream("api")), &["TOKEN"]);
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stderr.contains("`listen.a.address`: other machines may reach this address"), "{}", ended.stderr);
        assert!(ended.stderr.contains("`dangerously_open = true`"), "{}", ended.stderr);
        let file = folder.path().join("sidekey.toml");
        assert_eq!(command(&["run", "--config", file.to_str().unwrap()]).code, Some(78));
    }
}

#[test]
fn the_address_that_stands_for_all_others_is_no_name() {
    // A page may ask there, and the browser says nothing of it: no `Sec-Fetch-Site`, and of an image no `Origin`.
    let origin = Origin::ok();
    for (address, host) in [("0.0.0.0:0", "0.0.0.0"), ("[::]:0", "[::]"), ("[::ffff:0.0.0.0]:0", "[::ffff:0.0.0.0]")] {
        let listen = format!("[listen.a]\naddress = \"{address}\"\ndangerously_open = true\n");
        let sidekey = Sidekey::start(&(listen + &origin.upstream("api")));
        sidekey.ask(get_from(host, "/api/x")).assert_own(421, "destination_not_found");
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn one_that_says_so_does() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{OPEN}dangerously_open = true\n{}", origin.upstream("api")));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}
