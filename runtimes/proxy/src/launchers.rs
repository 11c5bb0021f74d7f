//! The launchers, carried along, for a platform that runs actions without images.
//!
//! They are the very files that the images get. They are written out before use, since interpreters want
//! files; each is replaced as a whole or not at all, so several processes may do it at once.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// What is written for each family.
const FILES: [(&str, &[(&str, &str)]); 4] = [
    (
        "nodejs",
        &[
            ("server.js", include_str!("../../nodejs/server.js")),
            ("loader.js", include_str!("../../nodejs/loader.js")),
            ("logs.js", include_str!("../../nodejs/logs.js")),
            ("marks.js", include_str!("../../nodejs/marks.js")),
            ("zip.js", include_str!("../../nodejs/zip.js")),
            ("package.json", include_str!("../../nodejs/package.json")),
            ("package-lock.json", include_str!("../../nodejs/package-lock.json")),
        ],
    ),
    ("python", &[("launcher.py", include_str!("../../python/launcher.py"))]),
    ("ruby", &[("launcher.rb", include_str!("../../ruby/launcher.rb"))]),
    ("php", &[("launcher.php", include_str!("../../php/launcher.php"))]),
];

/// How the process for one action is to be started.
#[derive(Debug, PartialEq, Eq)]
pub struct LaunchLine {
    /// The subcommand of the action proxy that the command belongs to.
    pub subcommand: Subcommand,
    /// What stands after its `--`.
    pub command: Vec<OsString>,
}

/// See [`crate::cli`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subcommand {
    /// The proxy answers HTTP and starts the command as its launcher.
    Serve,
    /// The command answers HTTP by itself.
    Exec,
}

/// Writes the files of a family of kinds (`nodejs`, `python`, `ruby`, `php`) to `<directory>/<family>/` and tells how
/// to start them. `None` for a family that there is no launcher for.
pub fn install(directory: &Path, family: &str) -> io::Result<Option<LaunchLine>> {
    let Some((_, files)) = FILES.iter().find(|(name, _)| *name == family) else { return Ok(None) };
    let directory = std::path::absolute(directory)?.join(family);
    fs::create_dir_all(&directory)?;
    for (name, text) in *files {
        write_whole(&directory, name, text)?;
    }
    let line = |subcommand, program: &str, file| LaunchLine {
        subcommand,
        command: vec![program.into(), directory.join(file).into()],
    };
    Ok(Some(match family {
        "nodejs" => line(Subcommand::Exec, "node", "server.js"),
        "ruby" => line(Subcommand::Serve, "ruby", "launcher.rb"),
        "php" => line(Subcommand::Serve, "php", "launcher.php"),
        _ => line(Subcommand::Serve, "python3", "launcher.py"),
    }))
}

fn write_whole(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = directory.join(name);
    match fs::read(&path) {
        Ok(found) if found == text.as_bytes() => return Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    fs::write(&draft, text)?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_changes_nothing_and_mends_what_was_changed() {
        let directory = tempfile::tempdir().unwrap();
        let first = install(directory.path(), "python").unwrap().unwrap();
        let launcher = directory.path().join("python/launcher.py");
        let text = fs::read_to_string(&launcher).unwrap();
        fs::write(&launcher, "broken").unwrap();
        assert_eq!(install(directory.path(), "python").unwrap().unwrap(), first);
        assert_eq!(fs::read_to_string(&launcher).unwrap(), text);
        assert_eq!(fs::read_dir(directory.path().join("python")).unwrap().count(), 1);
    }

    #[test]
    fn each_family_is_started_its_own_way() {
        let directory = tempfile::tempdir().unwrap();
        let node = install(directory.path(), "nodejs").unwrap().unwrap();
        assert_eq!(node.subcommand, Subcommand::Exec);
        assert_eq!(node.command, ["node".into(), directory.path().join("nodejs/server.js").into_os_string()]);
        assert!(install(directory.path(), "cobol").unwrap().is_none());
    }
}
