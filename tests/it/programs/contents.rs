//! What HTTP can say of a content passes as it is: codings, ranges, conditions. Each request is made twice, to the
//! upstream itself and through sidekey, and curl gets the same fields and bytes.

use super::curl::curl;
use super::{Behind, KINDS, Kind};

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette, Node"]
fn programs_content_codings_pass_byte_for_byte() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        for coding in ["gzip", "br", "zstd"] {
            // Node 20 has no zstd.
            if coding == "zstd" && matches!(kind, Kind::Node) {
                continue;
            }
            let asked = format!("Accept-Encoding: {coding}");
            let got = behind.curl_both_ways(&format!("/coded/{coding}"), &["--header", &asked]);
            assert_eq!((got.status, got.field("content-encoding")), (200, Some(coding)));
            assert_eq!(got.field("vary"), Some("Accept-Encoding"));
            assert_eq!(got.field("etag"), Some(&*format!("W/\"{coding}-1\"")));
            let magic: &[u8] = match coding {
                "gzip" => &[0x1f, 0x8b],
                "zstd" => &[0x28, 0xb5, 0x2f, 0xfd],
                _ => &[],
            };
            assert!(got.body.starts_with(magic) && got.body.len() > 10_000, "{} bytes", got.body.len());
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette, Node"]
fn programs_accept_encoding_reaches_the_upstream_as_it_was_sent() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        let got = curl(&["--header", "Accept-Encoding: br;q=0.5, zstd, *;q=0", &behind.url("/about?a=%2F&b")]);
        let said: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(said["query"], "a=%2F&b");
        assert!(said["headers"].to_string().contains("br;q=0.5, zstd, *;q=0"), "{said}");
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette, Node"]
fn programs_ranges_pass() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        let whole = behind.curl_both_ways("/files/numbers.txt", &[]);
        let length = whole.body.len();
        assert_eq!(whole.field("accept-ranges"), Some("bytes"));
        let part = behind.curl_both_ways("/files/numbers.txt", &["--range", "1000-1999"]);
        assert_eq!((part.status, &*part.body), (206, &whole.body[1000..2000]));
        assert_eq!(part.field("content-range"), Some(&*format!("bytes 1000-1999/{length}")));
        let end = behind.curl_both_ways("/files/numbers.txt", &["--range", "-10"]);
        assert_eq!((end.status, &*end.body), (206, &whole.body[length - 10..]));
        let none = behind.curl_both_ways("/files/numbers.txt", &["--range", "99999999-"]);
        assert_eq!((none.status, none.field("content-range")), (416, Some(&*format!("bytes */{length}"))));
        // The content is what it was: a part; it has changed: the whole.
        for (tag, status) in [(whole.field("etag").unwrap(), 206), ("\"of-yesterday\"", 200)] {
            let condition = format!("If-Range: {tag}");
            // A weak tag never matches here (RFC 9110 13.1.5).
            let expected = if tag.starts_with("W/") && matches!(kind, Kind::Hypercorn) { 200 } else { status };
            let got = behind.curl_both_ways("/files/numbers.txt", &["--range", "0-9", "--header", &condition]);
            assert_eq!(got.status, expected, "{kind:?} {condition}");
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette, Node"]
fn programs_conditional_requests_and_head_pass() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        let whole = behind.curl_both_ways("/files/numbers.txt", &[]);
        let (tag, date) = (whole.field("etag").unwrap(), whole.field("last-modified").unwrap());
        for (condition, status) in [
            (format!("If-None-Match: {tag}"), 304),
            ("If-None-Match: \"other\"".to_owned(), 200),
            (format!("If-Modified-Since: {date}"), 304),
            ("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT".to_owned(), 200),
        ] {
            let got = behind.curl_both_ways("/files/numbers.txt", &["--header", &condition]);
            assert_eq!((got.status, got.body.is_empty()), (status, status == 304), "{kind:?} {condition}");
            assert_eq!(got.field("etag"), Some(tag), "{kind:?} {condition}");
        }
        let head = behind.curl_both_ways("/files/numbers.txt", &["--head", "--output", "/dev/null"]);
        assert_eq!(head.field("content-length"), Some(&*whole.body.len().to_string()));
        // curl would wait for a body that is announced, on a connection that stays.
        let after = behind.curl_both_ways("/files/numbers.txt", &["--range", "0-3"]);
        assert_eq!(after.body, b"0\n1\n");
    }
}
