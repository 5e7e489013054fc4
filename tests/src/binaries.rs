use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The replica daemon.
pub fn pbftd() -> Command {
    Command::new(folder().join("pbftd"))
}

/// The toolbox.
pub fn pbft() -> Command {
    Command::new(folder().join("pbft"))
}

/// Where the binaries are: built, once, with the profile of the tests; or what `PBFT_BINARIES` says.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("PBFT_BINARIES").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // target/PROFILE/deps/cluster-HASH
    let folder = test.parent().and_then(Path::parent).expect("a target folder").to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "pbft-node", "-p", "pbft-cli", "--bins", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("a target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "pbftd and pbft do not build");
    folder
}
