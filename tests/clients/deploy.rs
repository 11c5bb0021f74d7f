//! `wskdeploy`: a folder a manifest, with what must be there once it is deployed (`expect.toml`), and perhaps with
//! further arguments, a line each (`arguments`). Undeployed, it leaves nothing. What is managed by a project is also synchronised and exported.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::clients;
use tests::namespace::Namespace;
use tests::place;
use tests::requests::Requests;
use tests::tally::Tally;
use tests::whisk::Whisk;
use tokio::process::Command;

/// Longer than any deployment takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The case that is a project.
const PROJECT: &str = "project";

/// All manifests.
pub async fn run(whisk: &Whisk, tally: &mut Tally) {
    let cases = cases();
    let Some(program) = clients::wskdeploy() else {
        tally.skipped(cases.len(), "wskdeploy was not built: `cargo xtask test`");
        return;
    };
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let deployer = Deployer::new(&program, &case, whisk.namespace().await);
        let outcome = if name == PROJECT { deployer.project().await } else { deployer.once().await };
        tally.judge(&format!("wskdeploy: {name}"), outcome);
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = place::workspace().join("tests/clients/wskdeploy");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// One manifest in one namespace.
struct Deployer {
    program: PathBuf,
    case: PathBuf,
    /// A home without settings, with a copy of the case, since archives are written beside the sources.
    home: TempDir,
    namespace: Namespace,
}

impl Deployer {
    fn new(program: &Path, case: &Path, namespace: Namespace) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        copy(case, &home.path().join("case"));
        Self { program: program.to_path_buf(), case: case.to_path_buf(), home, namespace }
    }

    /// Deployed, looked at, undeployed.
    async fn once(&self) -> Result<(), String> {
        let here = self.here();
        let added = std::fs::read_to_string(self.case.join("arguments")).unwrap_or_default();
        let deploy: Vec<&str> = ["--project", here.as_str()].into_iter().chain(added.lines()).collect();
        self.run(&[&["--preview"], &deploy[..]].concat()).await?;
        self.expect_nothing().await?;
        self.run(&deploy).await?;
        self.look("expect.toml").await?;
        // Once more over what is there.
        self.run(&deploy).await?;
        self.look("expect.toml").await?;
        self.run(&["report", "--project", &here]).await?;
        self.run(&["undeploy", "--project", &here]).await?;
        self.expect_nothing().await
    }

    /// Managed by a project: synchronised, changed, exported, undeployed by its name, deployed from the export.
    async fn project(&self) -> Result<(), String> {
        let here = self.here();
        self.run(&["sync", "--project", &here, "--projectname", "ours"]).await?;
        self.look("expect.toml").await?;
        let smaller = std::fs::read(self.case.join("smaller.yaml")).map_err(|error| error.to_string())?;
        std::fs::write(self.home.path().join("case/manifest.yaml"), smaller)
            .map_err(|error| error.to_string())?;
        self.run(&["sync", "--project", &here, "--projectname", "ours"]).await?;
        self.look("smaller.toml").await?;
        let export = self.home.path().join("export/manifest.yaml").display().to_string();
        self.run(&["export", "--projectname", "ours", "--manifest", &export]).await?;
        self.run(&["undeploy", "--projectname", "ours"]).await?;
        self.expect_nothing().await?;
        self.run(&["--manifest", &export]).await?;
        self.look("exported.toml").await?;
        self.run(&["undeploy", "--manifest", &export]).await?;
        self.expect_nothing().await
    }

    fn here(&self) -> String {
        self.home.path().join("case").display().to_string()
    }

    async fn look(&self, expected: &str) -> Result<(), String> {
        Requests::read(&self.case.join(expected)).send(&self.namespace).await
    }

    async fn expect_nothing(&self) -> Result<(), String> {
        for collection in ["actions", "packages", "triggers", "rules"] {
            let answer = self.namespace.get(collection).await;
            if answer.status != 200 || answer.json() != json!([]) {
                return Err(format!("there must be no {collection}: {}", answer.story()));
            }
        }
        Ok(())
    }

    async fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--apihost", self.namespace.url(), "--auth", &self.namespace.auth, "--namespace", "_"])
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("NO_PROXY", "127.0.0.1")
            // For the manifest of variables.
            .env("OURS_GREETING", "Good day")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(format!("it does not start: {error}")),
            Err(_) => return Err(format!("wskdeploy {arguments:?} did not end within {PATIENCE:?}")),
        };
        if output.status.success() {
            return Ok(());
        }
        let told = [output.stdout, output.stderr].concat();
        Err(format!(
            "wskdeploy {arguments:?} ended with {}\n{}",
            output.status,
            String::from_utf8_lossy(&told)
        ))
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new folder is writable");
    for entry in std::fs::read_dir(from).expect("a folder of the repository").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a file of the repository can be copied");
        }
    }
}
