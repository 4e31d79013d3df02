//! A config that puts sidekey before the stand-ins: an ordinary one, read by the ordinary loader, with secrets in files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Sandbox, Vendor};

impl Sandbox {
    /// Writes the CA (`ca.pem`) and the secrets into `directory`, and returns the text of a config that refers to them
    /// and listens at `listen`. The Hub is in it twice: `hub` signs, `hub-basic` uses the other key pair.
    ///
    /// # Errors
    /// A file that cannot be written, or a path that is not UTF-8, which TOML could not hold.
    pub fn config_toml(&self, directory: &Path, listen: &str) -> io::Result<String> {
        self.write_secrets(directory)?;
        let ca_file = directory.join("ca.pem");
        std::fs::write(&ca_file, self.ca_pem())?;
        let ca_file = toml_string(path_text(&ca_file)?);
        let listen = toml_string(listen);
        let mut text = format!("[server]\nworkers = 1\ndrain = \"1s\"\n\n[listen.local]\naddress = {listen}\n");
        for entry in ENTRIES {
            let credential = entry.credential(directory)?;
            text.push_str(&format!(
                "\n[upstream.{}]\npreset = {}\nurl = {}\nauth.{} = {credential}\ntls = {{ ca_file = {ca_file} }}\n",
                entry.name,
                toml_string(entry.vendor.preset()),
                toml_string(&url(self.address(entry.vendor))),
                entry.scheme,
            ));
        }
        Ok(text)
    }

    /// Writes each made-up secret to a file of its own in `directory`, readable by its owner alone: `imagga-key`,
    /// `imagga-secret`, `resci-key`, `imagior-token`, `imagine-token`, `hub-hmac-key`, `hub-hmac-secret`,
    /// `hub-basic-key` and `hub-basic-secret`.
    ///
    /// # Errors
    /// A file that is already there, or cannot be written.
    pub fn write_secrets(&self, directory: &Path) -> io::Result<()> {
        for (name, secret) in self.keys.files() {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(name))?;
            file.write_all(secret.expose())?;
        }
        Ok(())
    }
}

/// One `[upstream.NAME]`, and the files that its parameters come from.
struct Entry {
    name: &'static str,
    vendor: Vendor,
    scheme: &'static str,
    parameters: &'static [(&'static str, &'static str)],
}

const ENTRIES: [Entry; 6] = [
    Entry {
        name: "imagga",
        vendor: Vendor::Imagga,
        scheme: "basic",
        parameters: &[("username", "imagga-key"), ("password", "imagga-secret")],
    },
    Entry { name: "resci", vendor: Vendor::Resci, scheme: "api-key", parameters: &[("key", "resci-key")] },
    Entry { name: "imagior", vendor: Vendor::Imagior, scheme: "bearer", parameters: &[("token", "imagior-token")] },
    Entry { name: "imagine", vendor: Vendor::Imagine, scheme: "bearer", parameters: &[("token", "imagine-token")] },
    Entry {
        name: "hub",
        vendor: Vendor::Hub,
        scheme: "hmac",
        parameters: &[("username", "hub-hmac-key"), ("secret", "hub-hmac-secret")],
    },
    Entry {
        name: "hub-basic",
        vendor: Vendor::Hub,
        scheme: "basic",
        parameters: &[("username", "hub-basic-key"), ("password", "hub-basic-secret")],
    },
];

impl Entry {
    /// `{ username = "file:…", … }`.
    fn credential(&self, directory: &Path) -> io::Result<String> {
        let mut fields = Vec::new();
        for (key, file) in self.parameters {
            let path = directory.join(file);
            fields.push(format!("{key} = {}", toml_string(&format!("file:{}", path_text(&path)?))));
        }
        Ok(format!("{{ {} }}", fields.join(", ")))
    }
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

fn path_text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the directory's name is not UTF-8"))
}

/// `text` as a basic string of TOML, quotes and all.
fn toml_string(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use toml::de::DeTable;

    use super::toml_string;
    use crate::Config;
    use crate::sandbox::Sandbox;

    #[test]
    fn a_toml_string_survives_any_path() {
        for text in ["/tmp/plain", "/tmp/with \"quotes\"", "C:\\temp\\x", "/tmp/new\nline\u{7f}", "/tmp/ünï 💥"] {
            let document = format!("path = {}", toml_string(text));
            let table = DeTable::parse(&document).unwrap().into_inner();
            assert_eq!(table["path"].get_ref().as_str(), Some(text));
        }
    }

    #[test]
    fn the_config_is_an_ordinary_one_without_a_secret_and_its_files_are_private() {
        let sandbox = Sandbox::start().unwrap();
        let directory = tempfile::Builder::new().prefix("side\"key ").tempdir().unwrap();
        let text = sandbox.config_toml(directory.path(), "127.0.0.1:0").unwrap();
        assert!(Config::parse(&directory.path().join("sidekey.toml"), &text).is_ok());
        let config = DeTable::parse(&text).unwrap().into_inner();
        let upstreams = config["upstream"].get_ref().as_table().unwrap();
        assert_eq!(upstreams.len(), 6);
        let reference = upstreams["hub"].get_ref()["auth"].get_ref()["hmac"].get_ref()["secret"].get_ref();
        let reference = reference.as_str().unwrap();
        let secret = std::fs::read(reference.strip_prefix("file:").unwrap()).unwrap();
        assert!(secret == sandbox.keys.hub_hmac.secret.expose());
        for (name, secret) in sandbox.keys.files() {
            assert!(!text.contains(std::str::from_utf8(secret.expose()).unwrap()), "{name}");
            let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
