//! WebSockets: the handshake is a request like any other, and then bytes pass both ways.

mod ending;
mod extended;
mod handshake;
mod http2_upstream;
mod passing;

use crate::support::{Caller, Conversation, Origin, Response, Sidekey};

/// The header of an upstream that agrees to [`asking`].
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const ASKING: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The handshake of RFC 6455 1.3, with further `fields`, each with its line's end.
fn asking_with(target: &str, fields: &str) -> String {
    crate::support::get_with(target, &format!("{ASKING}{fields}"))
}

fn asking(target: &str) -> String {
    asking_with(target, "")
}

/// A frame of text (RFC 6455 5.2): a caller's is masked.
fn frame(opcode: u8, payload: &str, masked: bool) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126, "a short frame");
    let mut frame = vec![0x80 | opcode, length | if masked { 0x80 } else { 0 }];
    let mask = if masked { [0x37, 0xfa, 0x21, 0x3d] } else { [0; 4] };
    frame.extend(masked.then_some(mask).iter().flatten());
    frame.extend(payload.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Agrees, and sends back what comes, until nothing does.
fn echo(conversation: &mut Conversation) {
    if conversation.head().is_some() {
        conversation.send(AGREED);
        while let Ok(came) = conversation.some() {
            conversation.send(came);
        }
    }
}

fn echoing() -> Origin {
    Origin::plain(echo)
}

/// A WebSocket through `sidekey`, and the answer that it began with.
fn open(sidekey: &Sidekey) -> (Caller, Response) {
    let mut caller = sidekey.connect();
    caller.send(asking("/api/socket"));
    let answer = caller.head();
    assert_eq!(answer.status, 101, "{answer:?}");
    (caller, answer)
}

fn assert_echoes(caller: &mut Caller, text: &str) {
    let sent = frame(1, text, true);
    caller.send(&sent);
    assert_eq!(caller.exactly(sent.len()), sent);
}
