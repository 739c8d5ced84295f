//! The examples of docs/export.md have no problems.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_examples_of_the_export_guide_have_no_problems() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = std::fs::read_to_string(root.join("docs/export.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("worker.properties"), "data.dir=data\n").unwrap();
    let mut files = vec!["worker.properties".to_owned()];
    for (at, block) in guide.split("```properties\n").skip(1).enumerate() {
        let name = format!("example-{at}.properties");
        let text = block.split("```").next().unwrap();
        std::fs::write(dir.path().join(&name), text).unwrap();
        files.push(name);
    }
    assert!(files.len() > 4, "{files:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("validate")
        .args(&files)
        .envs([
            ("LAKE_KEY_ID", "id"),
            ("LAKE_KEY_SECRET", "secret"),
            ("LAKE_ACCOUNT_KEY", "a2V5"),
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{} connectors: no problems\n", files.len() - 1)
    );
}
