//! docs/configuration.md is made from the code: its settings, what the code says of them, and their defaults.
//! `PBFT_WRITE_DOCS=1 cargo test -p pbft-tests --test configuration` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pbft_message::{Parameters, ServiceParameters};
use pbft_node::{LimitsConfig, TimingConfig};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One struct of settings: where it is, its name in the file, and its defaults.
struct Section {
    file: &'static str,
    structure: &'static str,
    table: &'static str,
    defaults: Table,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn defaults(of: &impl Serialize) -> Table {
    Table::try_from(of).unwrap()
}

impl Section {
    fn new(file: &'static str, structure: &'static str, table: &'static str, defaults: Table) -> Self {
        Self { file, structure, table, defaults }
    }

    /// The fields in order, each with its comment.
    fn fields(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(root().join(self.file)).unwrap();
        let (_, rest) = text.split_once(&format!("pub struct {} {{\n", self.structure)).expect("the struct is there");
        let (body, _) = rest.split_once("\n}").unwrap();
        let (mut fields, mut comment) = (Vec::new(), Vec::new());
        for line in body.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("/// ") {
                comment.push(words);
            } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|field| field.split_once(':')) {
                assert!(!comment.is_empty(), "{name} has no comment");
                fields.push((name.to_owned(), comment.join(" ")));
                comment.clear();
            }
        }
        fields
    }

    fn rows(&self) -> String {
        let row = |(name, comment): (String, String)| {
            let name = if self.table.is_empty() { name } else { format!("{}.{name}", self.table) };
            let key = name.rsplit('.').next().unwrap();
            let default = self.defaults.get(key).map(shown).unwrap_or_default();
            format!("| `{name}` | {default} | {} |\n", comment.replace('|', "\\|"))
        };
        let rows: String = self.fields().into_iter().map(row).collect();
        format!("| setting | default | meaning |\n|---|---|---|\n{rows}\n")
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`\"{text}\"`"),
        other => format!("`{other}`"),
    }
}

fn document() -> String {
    let config = "crates/node/src/config.rs";
    let genesis = "crates/message/src/genesis.rs";
    let none = Table::new;
    let section = |structure, table, defaults| Section::new(config, structure, table, defaults).rows();
    let of_genesis = |structure, table, defaults| Section::new(genesis, structure, table, defaults).rows();
    [
        "# Configuration reference\n\nMade from the code by a test (`tests/tests/configuration.rs`): change the comments there, not here. Unknown \
         settings are refused, with their line. Times are written `500ms`, `10s`, `2m`.\n\n"
            .to_owned(),
        "## A replica's `config.toml`\n\nIts own business; others need not know. Those without a default must be given, unless their meaning says \
         otherwise.\n\n"
            .to_owned(),
        section("ReplicaConfig", "", none()),
        section("TimingConfig", "timing", defaults(&TimingConfig::default())),
        section("LimitsConfig", "limits", defaults(&LimitsConfig::default())),
        "## A client's `config.toml`\n\n".to_owned(),
        Section::new("crates/cli/src/testnet.rs", "ClientConfig", "", none()).rows(),
        "## `genesis.toml`\n\nThe same for all: its hash is the cluster id. `pbft genesis add` and `finalise` make it.\n\n".to_owned(),
        of_genesis("Genesis", "", none()),
        of_genesis("Parameters", "parameters", defaults(&Parameters::default())),
        of_genesis("ServiceParameters", "service", defaults(&ServiceParameters::default())),
        of_genesis("ReplicaEntry", "replicas[]", none()),
        of_genesis("ClientEntry", "clients[]", none()),
        "## Environment\n\nOptions of commands may be given as variables too: `PBFT_HOME`, `PBFT_LISTEN`, `PBFT_LISTEN_CLIENTS`, `PBFT_HTTP`,\n\
         `PBFT_LOG_FORMAT`, `PBFT_TIMEOUT`; `--help` names them. `PBFT_LOG` filters log lines as `RUST_LOG` does elsewhere, for example\n\
         `PBFT_LOG=info,pbft_network=debug`. `NO_COLOR` turns colours off.\n"
            .to_owned(),
    ]
    .concat()
}

#[test]
fn the_configuration_reference_is_what_the_code_says() {
    let path = root().join("docs/configuration.md");
    if std::env::var_os("PBFT_WRITE_DOCS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let written = fs::read_to_string(&path).expect("docs/configuration.md is there");
    assert!(written == document(), "docs/configuration.md is not what the code says: PBFT_WRITE_DOCS=1 writes it anew");
}
