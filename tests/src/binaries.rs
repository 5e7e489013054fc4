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

/// The replica daemon with fail points (see `fail_point` in `pbft-storage`), which knows one more message of a wire version of
/// its own; built in a folder of its own.
pub fn pbftd_with_fail_points() -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let flags = "--cfg pbft_fail_points --cfg pbft_next_wire --cfg curve25519_dalek_backend=\"avx512\"";
    let folder = FOLDER.get_or_init(|| {
        let target = target_folder().join("fail-points");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.env("RUSTFLAGS", flags).args(["build", "--quiet", "--locked", "-p", "pbft-node", "--bins", "--target-dir"]);
        let built = cargo.arg(&target).current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "pbftd does not build with fail points");
        target.join("debug")
    });
    Command::new(folder.join("pbftd"))
}

/// Where the binaries are: built, once, with the profile of the tests; or what `PBFT_BINARIES` says.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("PBFT_BINARIES").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let folder = profile_folder();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "pbft-node", "-p", "pbft-cli", "--bins", "--profile", profile])
        .arg("--target-dir")
        .arg(target_folder())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "pbftd and pbft do not build");
    folder
}

/// target/PROFILE, of target/PROFILE/deps/cluster-HASH.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.parent().and_then(Path::parent).expect("a target folder").to_owned()
}

fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a target folder").to_owned()
}
