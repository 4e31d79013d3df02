//! `deploy/kubernetes`: its configs pass `check` as they are, with the files of the Secrets that are mounted there. What the
//! manifests promise is checked by the pipeline.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Sidekey, check_with, command, free_port};

const SIDECAR: &str = include_str!("../../deploy/kubernetes/sidecar/sidekey.toml");
const GATEWAY: &str = include_str!("../../deploy/kubernetes/gateway/sidekey.toml");
const MANIFESTS: [&str; 2] = [
    include_str!("../../deploy/kubernetes/sidecar/deployment.yaml"),
    include_str!("../../deploy/kubernetes/gateway/deployment.yaml"),
];

/// `config` with its Secrets in `folder`, and each file of them there as the kubelet makes it: by way of a link to the
/// folder `..data`, itself a link, and readable by the group.
fn mounted(folder: &Path, config: &str) -> String {
    for path in config.split('"').filter_map(|part| part.strip_prefix("file:/run/secrets/")) {
        let (secret, key) = path.split_once('/').unwrap();
        let volume = folder.join(secret);
        let content = volume.join("..2026_11_22");
        if !content.exists() {
            fs::create_dir_all(&content).unwrap();
            std::os::unix::fs::symlink("..2026_11_22", volume.join("..data")).unwrap();
        }
        fs::write(content.join(key), "made-up-and-long-enough").unwrap();
        fs::set_permissions(content.join(key), Permissions::from_mode(0o440)).unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(key), volume.join(key)).unwrap();
    }
    config.replace("/run/secrets", folder.to_str().unwrap())
}

#[test]
fn the_configs_of_sidecar_and_gateway_are_right_without_a_warning() {
    for config in [SIDECAR, GATEWAY] {
        let folder = tempfile::tempdir().unwrap();
        let ended = check_with(folder.path(), &mounted(folder.path(), config), &[]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
    }
}

#[test]
fn a_gateway_without_callers_would_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (before, rest) = GATEWAY.split_once("[caller.shop]").unwrap();
    let (_, after) = rest.split_once("[upstream").unwrap();
    let ended = check_with(folder.path(), &mounted(folder.path(), &format!("{before}[upstream{after}")), &[]);
    assert_eq!(ended.code, Some(78), "{}", ended.stdout);
    assert!(ended.stderr.contains("`listen.cluster.address`"), "{}", ended.stderr);
}

#[test]
fn every_probe_runs_a_command_that_there_is() {
    for manifest in MANIFESTS {
        let probes = manifest.lines().filter_map(|line| line.split_once("command: [/sidekey, ")?.1.strip_suffix("] }"));
        let probes: Vec<Vec<&str>> = probes.map(|arguments| arguments.split(", ").collect()).collect();
        assert_eq!(probes.len(), 3, "{probes:?}");
        for arguments in probes {
            // What is not known is an error before help is given.
            let ended = command(&[&arguments[..], &["--help"]].concat());
            assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn the_probes_find_each_of_them_well() {
    for config in [SIDECAR, GATEWAY] {
        let folder = tempfile::tempdir().unwrap();
        let admin = format!("0.0.0.0:{}", free_port());
        let config = mounted(folder.path(), config).replace("0.0.0.0:8080", "127.0.0.1:0");
        // The sidecar's is at its default address.
        let config = config
            .replace("0.0.0.0:9901", &admin)
            .replace("[admin]  ", &format!("[admin]\naddress = {admin:?}\ndangerously_open = true\n  "));
        let sidekey = Sidekey::start_in(folder, &config, "json");
        let file = sidekey.folder().join("sidekey.toml");
        for probe in [&["health"][..], &["health", "--live"]] {
            let ended = command(&[probe, &["--config", file.to_str().unwrap()]].concat());
            assert_eq!(ended.code, Some(0), "{probe:?}: {}", ended.stderr);
        }
    }
}
