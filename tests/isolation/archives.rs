//! Archives of code that would write outside of their folder.
//!
//! A careless unpacker, in an unrestricted container, lets them; the action proxy and the Node server refuse.

use std::io::{Cursor, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::instance::Instance;
use tests::daemon::{Daemon, NODEJS, PYTHON, Plain};

/// These attacks.
pub const NAMES: &[&str] = &["zip-slip", "archive-link"];

/// What should not be there afterwards.
const ESCAPED: &str = "/tmp/escaped";

const CARELESS: &str = "
import base64, io, os, stat, sys, tempfile, zipfile
folder = tempfile.mkdtemp()
archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(os.environ['ARCHIVE'])))
for entry in archive.infolist():
    path = f'{folder}/{entry.filename}'
    if stat.S_ISLNK(entry.external_attr >> 16):
        os.symlink(archive.read(entry), path)
    else:
        open(path, 'wb').write(archive.read(entry))
print('escaped' if os.path.exists(sys.argv[1]) else 'kept in')
";

/// An archive of code in both languages, and of what would lead out.
fn archive(name: &str) -> String {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    let mut file = |name: &str, text: &str| {
        writer.start_file(name, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    };
    file("__main__.py", "def main(args): return {}\n");
    file("index.js", "exports.main = () => ({});\n");
    match name {
        "zip-slip" => file(&format!("{}{ESCAPED}", "../".repeat(12).trim_end_matches('/')), "out"),
        _ => {
            writer.add_symlink("link", "/tmp", options).unwrap();
            writer.start_file("link/escaped", options).unwrap();
            writer.write_all(b"out").unwrap();
        }
    }
    BASE64_STANDARD.encode(writer.finish().unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_archive_leaves_its_folder() {
    if !crate::is_possible().await {
        return;
    }
    let daemon = Daemon::connect().await;
    let instance = Instance::start(|_| {}).await;
    for name in NAMES {
        let archive = archive(name);
        let careless = Plain {
            command: ["python3", "-c", CARELESS, ESCAPED].map(str::to_owned).to_vec(),
            env: vec![format!("ARCHIVE={archive}")],
            ..Default::default()
        };
        assert_eq!(daemon.run(careless).await.trim(), "escaped", "{name}");
        for (kind, image) in [("python:3.13", PYTHON), ("nodejs:20", NODEJS)] {
            let live = instance.create(kind, image, "archive").await;
            let answer =
                live.init(json!({"name": "a", "main": "main", "code": archive, "binary": true})).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 502, "{name} in {image}: {text}");
            assert!(text.contains("leads out of the archive"), "{name} in {image}: {text}");
            let changes =
                daemon.docker.container_changes(live.container.id()).await.unwrap().unwrap_or_default();
            assert!(changes.iter().all(|change| change.path != ESCAPED), "{changes:?}");
            live.destroy().await;
        }
    }
    daemon.clear().await;
    instance.close().await;
}
