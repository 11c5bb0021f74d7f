//! Whether an action's code is to be compiled: source text, or an archive without a program in it.
//!
//! What upstream's proxy looks at, too (`apache/openwhisk-runtime-go: openwhisk/extractor.go`): the first
//! bytes, and the file `exec` of an archive. An archive that is a jar is a program, unless it holds Java.

use std::io::{Cursor, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use zip::ZipArchive;

/// The source, ready for a builder. `None` if the code is a program, or nothing that can be read.
pub fn of(text: &str, binary: bool) -> Option<Bytes> {
    if !binary {
        return Some(Bytes::from(text.to_owned()));
    }
    let bytes = match text.contains(['\n', '\r']) {
        true => STANDARD.decode(text.replace(['\n', '\r'], "")).ok()?,
        false => STANDARD.decode(text).ok()?,
    };
    let is_source = match bytes.starts_with(b"PK") {
        true => is_source_archive(&bytes)?,
        false => !is_program(&bytes),
    };
    is_source.then(|| bytes.into())
}

/// As the action proxy sees it: `runtimes/proxy/src/code.rs`.
fn is_program(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF") || (head.starts_with(b"#!") && !head.starts_with(b"#!["))
}

fn is_source_archive(bytes: &[u8]) -> Option<bool> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    if let Ok(exec) = archive.by_name("exec") {
        let mut head = Vec::new();
        exec.take(4).read_to_end(&mut head).ok()?;
        return Some(!is_program(&head));
    }
    let is_jar = archive.index_for_name("META-INF/MANIFEST.MF").is_some();
    Some(!is_jar || archive.file_names().any(|name| name.ends_with(".java")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(files: &[(&str, &str)]) -> String {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        STANDARD.encode(writer.finish().unwrap().into_inner())
    }

    #[test]
    fn source_is_told_from_programs() {
        let manifest = ("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n");
        for (text, binary, expected) in [
            ("package main".to_owned(), false, true),
            (STANDARD.encode("package main"), true, true),
            (STANDARD.encode("#![allow(unused)]"), true, true),
            (STANDARD.encode("#!/bin/sh\n"), true, false),
            (STANDARD.encode("\x7fELF\x02"), true, false),
            (archive(&[("main.go", "package main")]), true, true),
            (archive(&[("exec", "package main")]), true, true),
            (archive(&[("exec", "\x7fELF\x02"), ("src/main.go", "")]), true, false),
            (archive(&[("sub/exec", "\x7fELF\x02")]), true, true),
            (archive(&[manifest, ("Hello.class", "")]), true, false),
            (archive(&[manifest, ("Hello.java", "")]), true, true),
            (archive(&[("Hello.java", "")]), true, true),
            ("%".to_owned(), true, false),
            (STANDARD.encode("PK\x03\x04 but no more"), true, false),
        ] {
            assert_eq!(of(&text, binary).is_some(), expected, "{text}");
        }
        assert_eq!(of(&format!("{}\n", STANDARD.encode("fn main")), true).unwrap(), "fn main");
    }
}
