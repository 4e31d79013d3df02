//! Entry points for fuzzing, one file each: each takes any bytes, and panics only where the code is wrong.

mod canonical;
mod config;
mod headers;
mod http2;
mod matching;
mod path;
mod requests;
mod responses;
mod rules;
mod scrubber;
mod tokens;
mod websockets;

pub use self::canonical::canonical;
pub use self::config::{CANARY, config};
pub use self::headers::headers;
pub use self::http2::http2;
pub use self::matching::matching;
pub use self::requests::requests;
pub use self::responses::responses;
pub use self::rules::rules;
pub use self::scrubber::scrubber;
pub use self::tokens::tokens;
pub use self::websockets::websockets;

/// The corpus of a target, which has at least so many seeds.
#[cfg(test)]
fn seeds(target: &str, at_least: usize) -> Vec<Vec<u8>> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.unwrap().path()).unwrap();
    let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().map(read).collect();
    assert!(seeds.len() >= at_least);
    seeds
}
