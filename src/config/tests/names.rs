//! Names: of upstreams, listeners and hosts; each means one thing.

use super::{GOOD, accept, refuse};

#[test]
fn a_name_that_means_an_upstream_is_no_other_ones() {
    let two = |extra: &str| {
        format!(
            "{extra}[upstream.one]\npreset = 'imagior'\nauth.bearer.token = 'env:KEY'\n\
             [upstream.two]\nurl = 'https://b.test'\nauth.bearer.token = 'env:KEY'\n"
        )
    };
    for (text, told) in [
        (two("") + "hosts = ['api.imagior.com']\n", "this is the host of the URL of `upstream.one`"),
        (two("") + "hosts = ['one.localhost']\n", "this name means `upstream.one` already"),
        (
            two("[listen.a]\naddress = '127.0.0.1:1'\nnames = ['b.test']\n"),
            "this name means `upstream.two`, not the listener",
        ),
        (
            two("[listen.a]\naddress = '127.0.0.1:1'\nnames = ['one.localhost']\n"),
            "this name means `upstream.one`, not the listener",
        ),
    ] {
        assert!(refuse(&text).contains(told), "{text}");
    }
    accept(&(two("") + "hosts = ['b.test']\n"));
}

#[test]
fn a_url_that_only_upstreams_share_is_right() {
    accept(&format!("{GOOD}{}", GOOD.replace("upstream.good", "upstream.again")));
}

#[test]
fn names_that_do_not_exist_are_refused() {
    let listener = "[listen.a]\naddress = '127.0.0.1:1'\nupstream = 'goood'\n";
    assert_eq!(
        refuse(&format!("{listener}{GOOD}")),
        "3:12 listen.a.upstream: there is no upstream of this name (did you mean `good`?)"
    );
    assert_eq!(
        refuse("[upstream.a]\npreset = 'imaga'\nauth.basic = { username = 'env:KEY', password = 'env:KEY' }\n"),
        "2:10 upstream.a.preset: unknown preset (did you mean `imagga`?)"
    );
    assert_eq!(
        refuse("[upstream.a]\nurl = 'https://a.test'\nauth.token = { x = 1 }\n"),
        "3:6 upstream.a.auth.token: unknown scheme (known here: `api-key`, `basic`, `bearer`, `hmac`)"
    );
    let broken_upstream = "[listen.a]\naddress = '127.0.0.1:1'\nupstream = 'b'\n[upstream.b]\nurl = 'https://b.test'\n";
    assert!(!refuse(broken_upstream).contains("listen.a"));
}

#[test]
fn names_that_are_no_host_label_are_refused() {
    let long = "a".repeat(64);
    for name in ["Good", "-a", "a-", "a_b", "\"a.b\"", "\"\"", "\"ä\"", &long] {
        let upstream = refuse(&GOOD.replace("upstream.good", &format!("upstream.{name}")));
        assert!(upstream.starts_with("1:11 upstream.") && upstream.contains("not a usable name"), "{upstream}");
        let listener = refuse(&format!("[listen.{name}]\naddress = '127.0.0.1:0'\n{GOOD}"));
        assert!(listener.contains("not a usable name"), "{listener}");
    }
    accept(&GOOD.replace("upstream.good", &format!("upstream.{}", "a".repeat(63))));
}

#[test]
fn a_host_means_one_thing() {
    let two = |listener: &str, first: &str, second: &str| {
        let again = GOOD.replace("upstream.good", "upstream.again");
        refuse(&format!("{listener}{GOOD}hosts = [{first}]\n{again}hosts = [{second}]\n"))
    };
    let told = two("", "'a.test'", "'b.test', 'A.TEST'");
    assert!(
        told.starts_with("8:20 upstream.again.hosts[1]: `upstream.good` has this host already (a host means one"),
        "{told}"
    );
    assert_eq!(two("", "'a.test', 'a.test'", ""), "4:20 upstream.good.hosts[1]: this host is listed twice");
    assert_eq!(
        two("", "'again.localhost'", ""),
        "4:10 upstream.good.hosts[0]: this name means `upstream.again` already"
    );
    for own in ["localhost", "127.0.0.1", "[::1]"] {
        assert!(two("", &format!("'{own}'"), "").contains("a listener itself is known by this name"), "{own}");
    }
    let listener = "[listen.a]\naddress = '10.0.0.1:1'\nnames = ['proxy.test']\n";
    for own in ["proxy.test", "10.0.0.1"] {
        assert!(two(listener, &format!("'{own}'"), "").contains("a listener itself is known by this name"), "{own}");
    }
    for wrong in ["https://a.test", "a.test:80", "a.test/x", "", "a b", "*.test"] {
        assert!(
            two("", &format!("'{wrong}'"), "").starts_with("4:10 upstream.good.hosts[0]: expected a host name"),
            "{wrong}"
        );
    }
}
