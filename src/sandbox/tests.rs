//! Every stand-in over a real TLS socket: the right credential, a wrong one, none, two; and what must not cross.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response, request};
use serde_json::Value;

use super::client::{self, ClientError};
use super::keys::Pair;
use super::{Sandbox, Vendor};

const FORM: &str = "multipart/form-data; boundary=b";
const JSON: &str = "application/json";

fn ask(sandbox: &Sandbox, vendor: Vendor, request: Request<Bytes>) -> Response<Bytes> {
    try_ask(sandbox, vendor, request).unwrap()
}

fn try_ask(sandbox: &Sandbox, vendor: Vendor, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client::tls(sandbox.address(vendor), sandbox.ca(), request))
}

fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

fn form(parts: &[(&str, &str)]) -> Bytes {
    let part = |(name, content): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
    };
    (parts.iter().map(part).collect::<String>() + "--b--\r\n").into()
}

/// A request that `vendor` answers when it is authorized.
fn good(vendor: Vendor) -> (request::Builder, Bytes) {
    let post = |path: &str, content_type: &str| Request::post(path).header(CONTENT_TYPE, content_type);
    match vendor {
        Vendor::Imagga => (Request::get("/v2/tags?image_url=https%3A%2F%2Fexample.com%2Fa.jpg"), Bytes::new()),
        Vendor::Resci => {
            let body = form(&[("import_type", "full"), ("\"users\"; filename=\"u.json\"", "{}\n")]);
            (post("/v3/import_jobs", FORM), body)
        }
        Vendor::Imagior => (post("/image/generate", JSON), r#"{"templateId":"t1","elements":{}}"#.into()),
        Vendor::Imagine => (post("/v2/image/generations", FORM), form(&[("prompt", "a harbour"), ("style", "anime")])),
        Vendor::Hub => (
            post("/v1/messages", JSON),
            r#"{"messages":[{"content":"hi","destination_number":"+61491570156"}]}"#.into(),
        ),
    }
}

/// The vendor's constant; for the Hub, that of its Basic pair.
fn constant(sandbox: &Sandbox, vendor: Vendor) -> Vec<u8> {
    let basic = |pair: &Pair| {
        let plain = [pair.name.expose(), b":", pair.secret.expose()].concat();
        format!("Basic {}", STANDARD.encode(plain)).into_bytes()
    };
    match vendor {
        Vendor::Imagga => basic(&sandbox.keys.imagga),
        Vendor::Resci => [b"ApiKey ", sandbox.keys.resci.expose()].concat(),
        Vendor::Imagior => [b"Bearer ", sandbox.keys.imagior.expose()].concat(),
        Vendor::Imagine => [b"Bearer ", sandbox.keys.imagine.expose()].concat(),
        Vendor::Hub => basic(&sandbox.keys.hub_basic),
    }
}

fn authorized(sandbox: &Sandbox, vendor: Vendor) -> Request<Bytes> {
    let (request, body) = good(vendor);
    request.header(AUTHORIZATION, constant(sandbox, vendor)).body(body).unwrap()
}

#[test]
fn each_vendor_lets_its_own_credential_in_and_nothing_else() {
    let sandbox = Sandbox::start().unwrap();
    for vendor in Vendor::ALL {
        let right = ask(&sandbox, vendor, authorized(&sandbox, vendor));
        assert!(right.status().is_success(), "{vendor:?}: {right:?}");

        let (request, body) = good(vendor);
        let missing = ask(&sandbox, vendor, request.body(body).unwrap());
        assert_eq!(missing.status(), 401, "{vendor:?}");
        assert!(missing.headers().contains_key(WWW_AUTHENTICATE), "{vendor:?}");

        // The same but for the last letter.
        let mut wrong = constant(&sandbox, vendor);
        wrong.pop();
        wrong.push(b'!');
        let (request, body) = good(vendor);
        let wrong = ask(&sandbox, vendor, request.header(AUTHORIZATION, wrong).body(body).unwrap());
        assert_eq!(wrong.status(), 401, "{vendor:?}");

        let mut twice = authorized(&sandbox, vendor);
        twice.headers_mut().append(AUTHORIZATION, constant(&sandbox, vendor).try_into().unwrap());
        let twice = ask(&sandbox, vendor, twice);
        assert_eq!(
            (twice.status().as_u16(), json(&twice)["sandbox"]["leftover"].as_str()),
            (400, Some("authorization"))
        );
    }
}

#[test]
fn no_vendor_takes_the_credential_of_another() {
    let sandbox = Sandbox::start().unwrap();
    for vendor in Vendor::ALL {
        for other in Vendor::ALL.into_iter().filter(|other| *other != vendor) {
            let (request, body) = good(vendor);
            let request = request.header(AUTHORIZATION, constant(&sandbox, other)).body(body).unwrap();
            assert_eq!(ask(&sandbox, vendor, request).status(), 401, "{other:?} at {vendor:?}");
        }
    }
}

#[test]
fn what_a_proxy_let_across_is_named() {
    let sandbox = Sandbox::start().unwrap();
    for (name, value) in [
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "trailers"),
        ("host", "api.imagga.com"),
    ] {
        let mut request = authorized(&sandbox, Vendor::Imagga);
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = ask(&sandbox, Vendor::Imagga, request);
        assert_eq!((answer.status().as_u16(), json(&answer)["sandbox"]["leftover"].as_str()), (400, Some(name)));
    }
    let mut request = authorized(&sandbox, Vendor::Imagine);
    request.headers_mut().insert("bearer", "vk-mine".parse().unwrap());
    let answer = ask(&sandbox, Vendor::Imagine, request);
    assert_eq!((answer.status().as_u16(), json(&answer)["sandbox"]["leftover"].as_str()), (400, Some("bearer")));
}

#[test]
fn answers_have_the_vendors_shapes() {
    let sandbox = Sandbox::start().unwrap();
    let answer = |vendor| ask(&sandbox, vendor, authorized(&sandbox, vendor));
    let tags = json(&answer(Vendor::Imagga));
    assert_eq!(tags["result"]["tags"][0]["tag"]["en"], "mountain");
    assert_eq!(tags["status"]["type"], "success");
    assert_eq!(json(&answer(Vendor::Resci))["import_job"]["files"][0]["table"], "users");
    let image = json(&answer(Vendor::Imagior));
    assert!(image["imageURL"].as_str().unwrap().ends_with("/t1.png"));
    assert_eq!(image["usage"]["remainingCredits"], 999);
    let png = answer(Vendor::Imagine);
    assert_eq!(png.headers()[CONTENT_TYPE], "image/png");
    assert!(png.body().starts_with(b"\x89PNG\r\n\x1a\n"));
    let sent = answer(Vendor::Hub);
    assert_eq!((sent.status().as_u16(), json(&sent)["messages"][0]["status"].as_str()), (202, Some("queued")));
}

#[test]
fn what_was_made_can_be_asked_for() {
    let sandbox = Sandbox::start().unwrap();
    let get = |vendor, path: &str| {
        let request = Request::get(path).header(AUTHORIZATION, constant(&sandbox, vendor));
        ask(&sandbox, vendor, request.body(Bytes::new()).unwrap())
    };
    let sent = json(&ask(&sandbox, Vendor::Hub, authorized(&sandbox, Vendor::Hub)));
    let id = sent["messages"][0]["message_id"].as_str().unwrap();
    assert_eq!(json(&get(Vendor::Hub, &format!("/v1/messages/{id}")))["content"], "hi");
    assert_eq!(get(Vendor::Hub, "/v1/messages/another").status(), 404);
    let job = json(&ask(&sandbox, Vendor::Resci, authorized(&sandbox, Vendor::Resci)));
    assert_eq!(json(&get(Vendor::Resci, "/v3/import_jobs/1")), job);
    assert_eq!(get(Vendor::Resci, "/v3/import_jobs/0").status(), 404);
    for (vendor, path) in [
        (Vendor::Imagga, "/v2/usage"),
        (Vendor::Resci, "/v3/import_jobs"),
        (Vendor::Imagior, "/user/account"),
        (Vendor::Imagior, "/templates/all"),
        (Vendor::Hub, "/v1/messaging/credits"),
        (Vendor::Hub, "/v1/replies"),
    ] {
        assert_eq!(get(vendor, path).status(), 200, "{path}");
    }
}

#[test]
fn the_hub_verifies_a_signature_over_what_was_on_the_wire() {
    let sandbox = Sandbox::start().unwrap();
    let pair = &sandbox.keys.hub_hmac;
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let send = |target: &str, signed: &str| {
        let text = format!("date: {date}\nGET {signed} HTTP/1.1");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, pair.secret.expose());
        let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
        let username = std::str::from_utf8(pair.name.expose()).unwrap();
        let value = format!(
            r#"hmac username="{username}", algorithm="hmac-sha256", headers="date request-line", signature="{signature}""#
        );
        let request = Request::get(target).header("date", &date).header(AUTHORIZATION, value);
        ask(&sandbox, Vendor::Hub, request.body(Bytes::new()).unwrap())
    };
    let odd = "/v1/replies?q=a+b&t=10:20&e=%C3%a9&x=&y";
    assert_eq!(send(odd, odd).status(), 200);
    let answer = send(odd, &odd.replace("%C3%a9", "%C3%A9"));
    assert_eq!(
        (answer.status().as_u16(), json(&answer)["message"].as_str()),
        (401, Some("HMAC signature does not match"))
    );
    assert_eq!(answer.headers()[WWW_AUTHENTICATE], "hmac");
}

#[test]
fn the_end_of_a_sandbox_closes_its_ports() {
    let sandbox = Sandbox::start().unwrap();
    let address = sandbox.address(Vendor::Hub);
    assert!(std::net::TcpStream::connect(address).is_ok());
    drop(sandbox);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_sandbox_starts_and_ends_inside_a_runtime_too() {
    let sandbox = Sandbox::start().unwrap();
    let request = authorized(&sandbox, Vendor::Imagga);
    let answer = client::tls(sandbox.address(Vendor::Imagga), sandbox.ca(), request).await.unwrap();
    assert_eq!(answer.status(), 200);
}
