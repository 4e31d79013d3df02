//! Matching: a target and a `Host` mean one upstream and one path, byte for byte what was sent, or nothing.

use http::HeaderValue;
use http::header::HOST;

use super::path::RequestPath;
use crate::wire::request;

const CONFIG: &str = "
[listen.local]
address = '127.0.0.1:8080'
names = ['door.test']
[upstream.one]
url = 'https://one.test'
hosts = ['alias.test', '192.0.2.1']
auth.bearer = { token = 'env:KEY' }
[upstream.two]
url = 'https://two.test:8443'
auth.bearer = { token = 'env:KEY' }
";

const DOORS: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "door.test"];
const NAMES: [&str; 2] = ["one", "two"];
const HOSTS: [(&str, &str); 6] = [
    ("one.test", "one"),
    ("alias.test", "one"),
    ("192.0.2.1", "one"),
    ("one.localhost", "one"),
    ("two.test", "two"),
    ("two.localhost", "two"),
];

thread_local! {
    static PATH: RequestPath = RequestPath::new(CONFIG, &[("env:KEY", b"planted")]);
}

/// Reads a target, a line end and a `Host`, and compares what they mean with a plain reading of the rules.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn matching(data: &[u8]) {
    let Some((target, host)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else { return };
    let wire = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let Some(read_alone) = request::alone(wire.as_bytes()) else { return };
    let Ok(value) = HeaderValue::from_str(host.trim_matches([' ', '\t'])) else { return };
    let mut head = read_alone.head;
    head.fields.put(&HOST, &value);
    let found = PATH.with(|path| path.find(&head));
    let found = found.ok().map(|found| (found.upstream.name().to_owned(), found.path.to_string()));
    let meant = read(target, host.trim_matches([' ', '\t']));
    if found != meant {
        panic!("{target:?} from {host:?} means {meant:?}, and {found:?} was found");
    }
}

/// The name of the upstream, and the path: section 3.2 of RFC 9112 and the README's table, and nothing else.
fn read(target: &str, host: &str) -> Option<(String, String)> {
    let (authority, path) = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        _ => (host, target),
    };
    let host_end = authority.find(']').map_or_else(|| authority.find(':').unwrap_or(authority.len()), |at| at + 1);
    let (host, port) = authority.split_at_checked(host_end)?;
    let is_port = |port: &str| port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let rooted = |path: &str| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if DOORS.contains(&host.as_str()) {
        let named = path.strip_prefix('/')?;
        let name = NAMES.iter().find(|name| {
            named.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        })?;
        return Some(((*name).to_owned(), rooted(named.strip_prefix(name)?)));
    }
    let (_, name) = HOSTS.iter().find(|(known, _)| *known == host)?;
    Some(((*name).to_owned(), rooted(path)))
}

#[cfg(test)]
mod tests {
    use super::matching;
    use crate::fuzzing::seeds;

    /// Each seed, and with each of its bytes made another, or left out.
    #[test]
    fn the_matching_corpus_and_its_near_misses_mean_one_thing() {
        for seed in seeds("matching", 8) {
            matching(&seed);
            for at in 0..seed.len() {
                for other in *b"/?:.@[]%\\" {
                    let mut bytes = seed.clone();
                    bytes[at] = other;
                    matching(&bytes);
                }
                let mut bytes = seed.clone();
                bytes.remove(at);
                matching(&bytes);
            }
        }
    }
}
