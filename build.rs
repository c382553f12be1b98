//! Makes JSON of the `OpenAPI` document, so that the server needs no reader of YAML, and a document
//! that is none does not build.

use std::{env, error::Error, fs, path::PathBuf};

const DOCUMENT: &str = "src/api/openapi.yaml";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let document: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(DOCUMENT)?)?;
    let made = PathBuf::from(env::var("OUT_DIR")?).join("openapi.json");
    fs::write(made, document.to_string())?;
    Ok(())
}
