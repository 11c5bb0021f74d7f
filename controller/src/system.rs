//! What comes with every installation: the namespace `whisk.system` and its public packages `utils` and
//! `samples`, behaving as upstream's catalog (`apache/openwhisk-catalog: packages`).
//!
//! They are looked after at each start: what is missing or not as this version has it is written, the rest is
//! left alone, so that a second start writes nothing. Nobody knows the namespace's key; an operator who wants
//! one makes it (`wskadmin user create whisk.system --revoke`).

use std::collections::BTreeMap;

use bytes::Bytes;
use common::clock::Millis;
use common::config::Config;
use common::entity::action::{Action, EXEC_ANNOTATION, PROVIDE_API_KEY};
use common::entity::exec::{CodeRef, Exec};
use common::entity::json;
use common::entity::name::{EntityName, EntityPath};
use common::entity::package::Package;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::manifest::Manifest;
use common::store::seal::{self, generate_key};
use common::store::{
    ArtifactStore, Document, EntityKind, KeyRecord, StoreError, Stored, SubjectRecord, SubjectStore,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{info, warn};

/// The subject and its namespace.
pub const NAMESPACE: &str = "whisk.system";

/// What the actions are written for.
const KIND: &str = "nodejs:20";

/// How often a write that another controller crossed is tried again.
const ATTEMPTS: u32 = 5;

/// A package: its description, and the code of its actions.
struct Shipped {
    description: &'static str,
    code: &'static [(&'static str, &'static str)],
}

macro_rules! shipped {
    ($package:literal: $($action:literal)*) => {
        Shipped {
            description: include_str!(concat!("../packages/", $package, ".json")),
            code: &[$(($action, include_str!(concat!("../packages/", $package, "/", $action, ".js")))),*],
        }
    };
}

const PACKAGES: [Shipped; 2] = [
    shipped!("utils": "echo" "cat" "split" "sort" "head" "smash" "date" "namespace" "hosturl"),
    shipped!(
        "samples": "greeting" "helloWorld" "helloPromises" "wordCount" "wordCountAsync" "printParams" "cat" "head"
        "countdown" "invoke" "curl"
    ),
];

/// A package's description, as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageFile {
    name: String,
    annotations: BTreeMap<String, Box<RawValue>>,
    actions: Vec<ActionFile>,
}

/// An action's description.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    name: String,
    annotations: BTreeMap<String, Box<RawValue>>,
}

/// Makes sure that subject and packages are there. An installation without them works all the same, so what
/// goes wrong is only told.
pub async fn ensure(
    subjects: &dyn SubjectStore,
    artifacts: &dyn ArtifactStore,
    manifest: &Manifest,
    config: &Config,
    now: Millis,
) {
    if let Err(error) = subject(subjects).await {
        warn!("the subject {NAMESPACE} is not there: {:#}", anyhow::Error::from(error));
    }
    let Some(kind) = manifest.resolve(KIND).filter(|kind| !kind.deprecated) else {
        info!("the manifest has no {KIND}, so the packages of {NAMESPACE} are left out");
        return;
    };
    let shelf = Shelf { artifacts, kind: &kind.kind, config, now };
    for shipped in &PACKAGES {
        match shelf.put(shipped).await {
            Ok(0) => {}
            Ok(written) => info!("wrote {written} entities of {NAMESPACE}"),
            Err(error) => warn!("a package of {NAMESPACE} cannot be written: {error:#}"),
        }
    }
}

/// Makes the subject, unless it is there.
async fn subject(subjects: &dyn SubjectStore) -> Result<(), StoreError> {
    if subjects.subject(NAMESPACE).await?.is_some() || !subjects.by_namespace(NAMESPACE).await?.is_empty() {
        return Ok(());
    }
    // The key is forgotten here: nobody has it, and no copy is kept that could be shown.
    let key = generate_key(None);
    let digest = seal::digest(&key.key);
    let key = KeyRecord { namespace: name(NAMESPACE), uuid: key.uuid, digest, sealed: Vec::new() };
    subjects
        .put_subject(&SubjectRecord { subject: NAMESPACE.to_owned(), blocked: false, keys: vec![key] })
        .await
}

/// Where packages are put.
struct Shelf<'a> {
    artifacts: &'a dyn ArtifactStore,
    kind: &'a str,
    config: &'a Config,
    now: Millis,
}

impl Shelf<'_> {
    /// Writes of a package what is not as it should be. Returns how many entities that were.
    async fn put(&self, shipped: &Shipped) -> anyhow::Result<u32> {
        let file: PackageFile = serde_json::from_str(shipped.description)?;
        let path = EntityPath::of(&name(NAMESPACE));
        let package = Package {
            namespace: path.clone(),
            name: name(&file.name),
            binding: None,
            parameters: Parameters::new(),
            annotations: parameters(file.annotations),
            version: SemVer::FIRST,
            publish: true,
            updated: self.now,
        };
        let mut written = u32::from(self.write_package(&package).await?);
        for ActionFile { name: action, annotations } in file.actions {
            let code = shipped.code.iter().find(|(name, _)| *name == action).map(|(_, code)| *code);
            let code = code.ok_or_else(|| anyhow::anyhow!("{action} has no code"))?;
            let mut annotations = parameters(annotations);
            if annotations.get(PROVIDE_API_KEY).is_none() {
                annotations.set(PROVIDE_API_KEY, json::raw(&false));
            }
            annotations.set(EXEC_ANNOTATION, json::raw(self.kind));
            let action = Action {
                namespace: package.path(),
                name: name(&action),
                exec: Exec::Code {
                    kind: self.kind.to_owned(),
                    code: CodeRef::of(code),
                    binary: false,
                    main: None,
                },
                parameters: Parameters::new(),
                annotations,
                limits: self.config.action_limits().standard(),
                version: SemVer::FIRST,
                publish: false,
                updated: self.now,
            };
            written += u32::from(self.write_action(&action, code).await?);
        }
        Ok(written)
    }

    async fn write_package(&self, package: &Package) -> anyhow::Result<bool> {
        let as_it_should_be = |found: &Package| {
            found.annotations == package.annotations
                && found.publish
                && found.binding.is_none()
                && found.parameters == package.parameters
        };
        let id = format!("{}/{}", package.namespace, package.name);
        self.write(&id, EntityKind::Package, as_it_should_be, |found: Option<Package>| {
            let (version, updated) = after(found.map(|found| (found.version, found.updated)), self.now);
            let package = Package { version, updated, ..package.clone() };
            Document {
                kind: EntityKind::Package,
                path: package.namespace.clone(),
                name: package.name.clone(),
                updated,
                publish: true,
                json: json::raw(&package).get().to_owned(),
                code: None,
            }
        })
        .await
    }

    async fn write_action(&self, action: &Action, code: &'static str) -> anyhow::Result<bool> {
        let as_it_should_be = |found: &Action| {
            found.exec == action.exec
                && found.annotations == action.annotations
                && found.parameters == action.parameters
        };
        self.write(&action.fqn().id(), EntityKind::Action, as_it_should_be, |found: Option<Action>| {
            let (version, updated) = after(found.map(|found| (found.version, found.updated)), self.now);
            let action = Action { version, updated, ..action.clone() };
            Document {
                kind: EntityKind::Action,
                path: action.namespace.clone(),
                name: action.name.clone(),
                updated,
                publish: action.publish,
                json: json::raw(&action).get().to_owned(),
                code: Some((CodeRef::of(code), Bytes::from_static(code.as_bytes()))),
            }
        })
        .await
    }

    /// Writes a document unless what is stored is as it should be. Whatever else has that name is replaced.
    async fn write<T: serde::de::DeserializeOwned>(
        &self,
        id: &str,
        kind: EntityKind,
        as_it_should_be: impl Fn(&T) -> bool,
        document: impl Fn(Option<T>) -> Document,
    ) -> anyhow::Result<bool> {
        let mut attempt = 1;
        loop {
            let stored = self.artifacts.get(id).await?;
            let found = stored.as_ref().filter(|stored| stored.kind == kind);
            let found: Option<T> = found.and_then(|stored| Stored::read(stored).ok());
            if found.as_ref().is_some_and(&as_it_should_be) {
                return Ok(false);
            }
            let expected = stored.as_ref().map(|stored| &stored.revision);
            match self.artifacts.put(&document(found), expected).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Conflict(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The version and time of what follows.
fn after(found: Option<(SemVer, Millis)>, now: Millis) -> (SemVer, Millis) {
    match found {
        None => (SemVer::FIRST, now),
        Some((version, updated)) => (version.next(), now.max(Millis(updated.0 + 1))),
    }
}

fn name(text: &str) -> EntityName {
    EntityName::parse(text).expect("the names of what is shipped are legal")
}

fn parameters(values: BTreeMap<String, Box<RawValue>>) -> Parameters {
    let mut parameters = Parameters::new();
    for (key, value) in values {
        parameters.set(&key, json::compact_raw(&value));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::store::sqlite::SqliteStores;

    async fn stores() -> (tempfile::TempDir, SqliteStores) {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        (folder, stores)
    }

    async fn start(stores: &SqliteStores, now: u64) {
        let config = Config::default();
        let manifest = Manifest::load(None, &config.runtimes).unwrap();
        ensure(&*stores.subjects, &*stores.artifacts, &manifest, &config, Millis(now)).await;
    }

    async fn action(stores: &SqliteStores, id: &str) -> Action {
        stores.artifacts.get(id).await.unwrap().unwrap().read().unwrap()
    }

    #[tokio::test]
    async fn everything_is_written_once_and_mended_later() {
        let (_folder, stores) = stores().await;
        start(&stores, 1).await;
        let shipped: usize = PACKAGES.iter().map(|package| package.code.len()).sum();
        let query = common::store::EntityQuery {
            kind: EntityKind::Action,
            path: EntityPath::of(&name(NAMESPACE)),
            only_public: false,
            skip: 0,
            limit: 0,
        };
        assert_eq!(stores.artifacts.count(&query).await.unwrap(), shipped as u64);
        let first = stores.artifacts.get("whisk.system/utils/echo").await.unwrap().unwrap().revision;

        start(&stores, 2).await;
        let second = stores.artifacts.get("whisk.system/utils/echo").await.unwrap().unwrap().revision;
        assert_eq!(first, second, "a second start writes nothing");

        // As an earlier version would have left it.
        let mut old = action(&stores, "whisk.system/utils/echo").await;
        let code = "function main() { return { old: true } }";
        old.exec = Exec::Code { kind: KIND.into(), code: CodeRef::of(code), binary: false, main: None };
        let document = Document {
            kind: EntityKind::Action,
            path: old.namespace.clone(),
            name: old.name.clone(),
            updated: old.updated,
            publish: false,
            json: json::raw(&old).get().to_owned(),
            code: Some((CodeRef::of(code), Bytes::from_static(code.as_bytes()))),
        };
        stores.artifacts.put(&document, Some(&second)).await.unwrap();
        start(&stores, 3).await;
        let mended = action(&stores, "whisk.system/utils/echo").await;
        assert_ne!(mended.exec, old.exec);
        assert_eq!((mended.version, mended.updated), (SemVer::FIRST.next(), Millis(3)));
        stores.close().await;
    }

    #[tokio::test]
    async fn nobody_knows_the_key() {
        let (folder, stores) = stores().await;
        start(&stores, 1).await;
        let record = stores.subjects.subject(NAMESPACE).await.unwrap().unwrap();
        let secret = common::store::seal::Secret::load_or_create(&folder.path().join("secret")).unwrap();
        assert!(secret.reveal(&record.keys[0]).is_none());
        start(&stores, 2).await;
        assert_eq!(stores.subjects.subject(NAMESPACE).await.unwrap().unwrap(), record);
        stores.close().await;
    }

    #[test]
    fn every_file_is_described_and_every_description_has_a_file() {
        for shipped in &PACKAGES {
            let file: PackageFile = serde_json::from_str(shipped.description).unwrap();
            let mut described: Vec<_> = file.actions.iter().map(|action| action.name.as_str()).collect();
            let mut written: Vec<_> = shipped.code.iter().map(|(name, _)| *name).collect();
            described.sort_unstable();
            written.sort_unstable();
            assert_eq!(described, written);
        }
    }
}
