//! The documents that say what the table of settings says.

use std::path::PathBuf;
use std::{env, fs};

use ml_serve::config::{Config, SETTINGS};

use super::{config, toml_value};

/// Compares a document with what the table makes of it; UPDATE_DOCS=1 writes it instead.
fn in_step(name: &str, made: impl Fn(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let found = fs::read_to_string(&path).unwrap_or_default();
    let made = made(&found);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, made).unwrap();
    } else {
        assert!(found == made, "docs/{name} is out of step with SETTINGS: test with UPDATE_DOCS=1");
    }
}

#[test]
fn the_documented_table_is_the_table() {
    const BEGIN: &str = "<!-- settings: written by the tests -->\n";
    const END: &str = "<!-- end of settings -->";
    let mut table =
        String::from("| Key | Takes | Default | Meaning | Environment | Flag |\n|---|---|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = setting.default().map_or("unset".into(), |text| format!("`{text}`"));
        let (takes, env, flag) = (setting.takes(), setting.environment(), setting.flag());
        table +=
            &format!("| `{}` | {takes} | {default} | {} | `{env}` | `{flag}` |\n", setting.key, setting.help);
    }
    in_step("configuration.md", |found| {
        let (before, rest) = found.split_once(BEGIN).expect("the table's begin");
        let (_, after) = rest.split_once(END).expect("the table's end");
        format!("{before}{BEGIN}\n{table}\n{END}{after}")
    });
}

#[test]
fn the_example_file_holds_every_default() {
    let mut text =
        String::from("# Every setting of ml-serve with its default; docs/configuration.md says more.\n");
    for setting in SETTINGS {
        text += &format!("\n# {}: {}\n", setting.help, setting.takes());
        text += &match setting.default() {
            Some(default) => format!("{} = {}\n", setting.key, toml_value(setting, &default)),
            None => format!("# {} = \"...\"\n", setting.key),
        };
    }
    text += "\n# One table for each model; the name is made from the path where it is left out.\n";
    text += "# [[models]]\n# path = \"models/sentiment\"\n# name = \"sentiment\"\n";
    assert_eq!(config(&text, &[], &[]), Config::default());
    let uncommented = text.replace("# [[", "[[").replace("# path", "path").replace("# name", "name");
    assert_eq!(config(&uncommented, &[], &[]).models.len(), 1);
    in_step("serve.example.toml", |_| text.clone());
}
