//! `wskadmin user`: subjects, and their keys to namespaces.

use clap::{Args, Subcommand};
use common::entity::identity::{AuthKey, KEY_LENGTH, MIN_SUBJECT_LENGTH};
use common::entity::name::EntityName;
use common::store::seal::{self, generate_key};
use common::store::{KeyRecord, StoreError, SubjectRecord, SubjectStore};

use crate::Installation;
use crate::output::Outcome;

/// What upstream's database says of a document that is not there.
const MISSING: &str = "missing";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// create a user and show authorization key
    Create(Create),
    /// delete a user
    Delete(Delete),
    /// get authorization key for user
    Get(Get),
    /// identify user from an authorization key
    Whois(Whois),
    /// list authorization keys associated with a namespace
    List(List),
    /// block one or more users
    Block(Subjects),
    /// unblock one or more users
    Unblock(Subjects),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// the subject to create
    subject: String,
    /// the uuid:key to initialize the subject authorization key with
    #[arg(short = 'u', long = "auth", value_name = "UUID:KEY")]
    auth: Option<String>,
    /// create key for given namespace instead, also -ns (defaults to subject id)
    #[arg(long)]
    namespace: Option<String>,
    /// revoke existing key and create a new one; the uuid stays
    #[arg(short, long)]
    revoke: bool,
    /// generate a uuid and key but do not store them in the database
    #[arg(short, long)]
    genonly: bool,
    /// do not show the new key on the console
    #[arg(short, long)]
    silent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// the subject to delete
    subject: String,
    /// delete key for given namespace only, also -ns
    #[arg(long)]
    namespace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// the subject to get key for
    subject: String,
    /// the namespace to get the key for, also -ns (defaults to subject id)
    #[arg(long)]
    namespace: Option<String>,
    /// list all namespaces and their keys
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Whois {
    /// the credentials to look up
    authkey: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// the namespace to lookup
    namespace: String,
    /// show no more than N identities
    #[arg(short, long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pick: i64,
    /// show all identities
    #[arg(short, long)]
    all: bool,
    /// show only the keys
    #[arg(short, long)]
    key: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Subjects {
    /// one or more users
    #[arg(required = true)]
    subjects: Vec<String>,
}

pub(crate) async fn run(command: Command, installation: &Installation) -> anyhow::Result<Outcome> {
    let subjects = installation.subjects.as_ref();
    match command {
        Command::Create(create) => create.run(installation).await,
        Command::Delete(delete) => delete.run(subjects).await,
        Command::Get(get) => get.run(installation).await,
        Command::Whois(whois) => whois.run(subjects).await,
        Command::List(list) => list.run(installation).await,
        Command::Block(named) => set_blocked(subjects, named, true).await,
        Command::Unblock(named) => set_blocked(subjects, named, false).await,
    }
}

/// A request to create that has been read, and what it asks for.
struct Wanted {
    subject: String,
    namespace: EntityName,
    auth: Option<AuthKey>,
}

impl Create {
    /// What can be answered without the store: a refusal, or a key that is only generated.
    pub(crate) fn without_store(&self) -> Option<Outcome> {
        match self.read() {
            Err(refusal) => Some(refusal),
            Ok(Wanted { auth, .. }) if self.genonly => {
                Some(Outcome::done([auth.unwrap_or_else(|| generate_key(None)).reveal()]))
            }
            Ok(_) => None,
        }
    }

    fn read(&self) -> Result<Wanted, Outcome> {
        let subject = self.subject.trim();
        if subject.chars().count() < MIN_SUBJECT_LENGTH {
            let least = format!("Subject name must be at least {MIN_SUBJECT_LENGTH} characters");
            return Err(Outcome::misused(least));
        }
        let namespace = match self.namespace.as_deref().map(str::trim) {
            Some("") => return Err(Outcome::misused("Namespace must not be empty")),
            Some(namespace) => namespace,
            None => subject,
        };
        let namespace = EntityName::parse(namespace)
            .map_err(|error| Outcome::misused(format!("Namespace \"{namespace}\" is not valid: {error}")))?;
        let auth = self.auth.as_deref().map(read_auth).transpose()?;
        Ok(Wanted { subject: subject.to_owned(), namespace, auth })
    }

    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        let Wanted { subject, namespace, auth } = match self.read() {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(refusal),
        };
        let subjects = installation.subjects.as_ref();
        let mut record = match subjects.subject(&subject).await? {
            Some(record) if record.blocked => {
                return Ok(Outcome::refused("The subject you want to edit is blocked"));
            }
            Some(record) => record,
            None => SubjectRecord { subject, blocked: false, keys: Vec::new() },
        };
        let existing = record.keys.iter().position(|key| key.namespace == namespace);
        if existing.is_some() && !self.revoke {
            return Ok(Outcome::refused("Namespace already exists"));
        }
        // The uuid stands for the namespace in throttles and elsewhere, so a new key keeps it.
        let uuid = existing.map(|place| record.keys[place].uuid.as_str());
        let auth = auth.unwrap_or_else(|| generate_key(uuid));
        let key = installation.secret.record(namespace, &auth);
        match existing {
            Some(place) => record.keys[place] = key,
            None => record.keys.push(key),
        }
        match subjects.put_subject(&record).await {
            Ok(()) if self.silent => Ok(Outcome::done([])),
            Ok(()) => Ok(Outcome::done([auth.reveal()])),
            Err(StoreError::Conflict(uuid)) => {
                let why = format!("Failed to create subject (authorization id {uuid} is already in use)");
                Ok(Outcome::refused(why))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads `uuid:key`. Of the uuid version and variant are made those of a random one, as upstream does.
fn read_auth(text: &str) -> Result<AuthKey, Outcome> {
    let mut parts = text.split(':');
    let uuid = uuid::Uuid::try_parse(parts.next().unwrap_or_default())
        .map_err(|_| Outcome::misused("authorization id is not a valid UUID"))?;
    let Some(key) = parts.next() else {
        return Err(Outcome::misused("failed to determine authorization id and key: it is not uuid:key"));
    };
    if key.chars().count() < KEY_LENGTH {
        let least = format!("authorization key must be at least {KEY_LENGTH} characters long");
        return Err(Outcome::misused(least));
    }
    let uuid = uuid::Builder::from_random_bytes(uuid.into_bytes()).into_uuid();
    Ok(AuthKey { uuid: uuid.to_string(), key: key.to_owned() })
}

impl Delete {
    async fn run(self, subjects: &dyn SubjectStore) -> anyhow::Result<Outcome> {
        let subject = self.subject.trim();
        if subject.is_empty() {
            return Ok(Outcome::misused("Subject must not be empty"));
        }
        let namespace = self.namespace.as_deref().map(str::trim);
        if namespace == Some("") {
            return Ok(Outcome::misused("Namespace must not be empty"));
        }
        let missing = || Outcome::refused(format!("Failed to delete subject ({MISSING})"));
        let Some(namespace) = namespace else {
            let deleted = subjects.delete_subject(subject).await?;
            return Ok(if deleted { Outcome::done(["Subject deleted".to_owned()]) } else { missing() });
        };
        let Some(mut record) = subjects.subject(subject).await? else { return Ok(missing()) };
        let before = record.keys.len();
        record.keys.retain(|key| key.namespace.as_str() != namespace);
        if record.keys.len() == before {
            let why = format!("Namespace \"{namespace}\" does not exist for \"{subject}\"");
            return Ok(Outcome::refused(why));
        }
        subjects.put_subject(&record).await?;
        Ok(Outcome::done(["Namespace deleted".to_owned()]))
    }
}

impl Get {
    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        let subject = self.subject.trim();
        let Some(record) = installation.subjects.subject(subject).await? else {
            return Ok(Outcome::refused(format!("Failed to get subject ({MISSING})")));
        };
        if self.all {
            let line = |key: &KeyRecord| Ok(format!("{}\t{}", key.namespace, reveal(installation, key)?));
            return Ok(Outcome::done(record.keys.iter().map(line).collect::<anyhow::Result<Vec<String>>>()?));
        }
        let namespace = self.namespace.as_deref().unwrap_or(subject);
        match record.keys.iter().find(|key| key.namespace.as_str() == namespace) {
            Some(key) => Ok(Outcome::done([reveal(installation, key)?])),
            None => Ok(Outcome::refused(format!("namespace \"{namespace}\" not found for \"{subject}\""))),
        }
    }
}

impl Whois {
    async fn run(self, subjects: &dyn SubjectStore) -> anyhow::Result<Outcome> {
        let Some((uuid, key)) = self.authkey.split_once(':') else {
            return Ok(Outcome::misused("the authorization key is not uuid:key"));
        };
        let found = subjects.by_uuid(uuid).await?;
        let found = found.filter(|found| !found.blocked && seal::matches(&found.key.digest, key));
        Ok(Outcome::done(match found {
            Some(found) => {
                vec![format!("subject: {}", found.subject), format!("namespace: {}", found.key.namespace)]
            }
            None => vec!["Subject id is not recognized".to_owned()],
        }))
    }
}

impl List {
    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        let Ok(pick @ 1..) = usize::try_from(self.pick) else {
            return Ok(Outcome::misused("pick at least 1 identity to show"));
        };
        let mut identities = installation.subjects.by_namespace(&self.namespace).await?;
        identities.retain(|identity| !identity.blocked);
        if identities.is_empty() {
            let none = format!("no identities found for namespace \"{}\"", self.namespace);
            return Ok(Outcome::done([none]));
        }
        let shown = if self.all { usize::MAX } else { pick };
        let mut lines = Vec::new();
        for identity in identities.iter().take(shown) {
            let key = reveal(installation, &identity.key)?;
            lines.push(if self.key { key } else { format!("{key}\t{}", identity.subject) });
        }
        Ok(Outcome::done(lines))
    }
}

async fn set_blocked(subjects: &dyn SubjectStore, named: Subjects, blocked: bool) -> anyhow::Result<Outcome> {
    let (verb, done) = if blocked { ("block", "blocked") } else { ("unblock", "unblocked") };
    let mut outcome = Outcome::done([]);
    for subject in named.subjects.iter().map(|subject| subject.trim()).filter(|name| !name.is_empty()) {
        let result = match subjects.subject(subject).await {
            Ok(Some(record)) => subjects.put_subject(&SubjectRecord { blocked, ..record }).await,
            Ok(None) => {
                outcome.lines.push(format!("Failed to {verb} \"{subject}\" ({MISSING})"));
                outcome.code = outcome.code.saturating_add(1);
                continue;
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => outcome.lines.push(format!("\"{subject}\" {done} successfully")),
            Err(error) => {
                outcome.lines.push(format!("Failed to {verb} \"{subject}\" ({error})"));
                outcome.code = outcome.code.saturating_add(1);
            }
        }
    }
    Ok(outcome)
}

fn reveal(installation: &Installation, key: &KeyRecord) -> anyhow::Result<String> {
    match installation.secret.reveal(key) {
        Some(auth) => Ok(auth.reveal()),
        None => anyhow::bail!(
            "the key of namespace \"{}\" was sealed under another secret; `user create -r` makes a new one",
            key.namespace
        ),
    }
}
