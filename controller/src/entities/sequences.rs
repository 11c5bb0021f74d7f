//! Whether a sequence may be as it is written: its components are there, it does not come to itself through
//! them, and it is not too long, with the sequences in it counted by what is in them.
//!
//! Only a cycle through the sequence that is written is told as one; any other is too long. Upstream:
//! `checkSequenceActionLimits` in `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala`.

use std::collections::HashMap;

use common::entity::action::Action;
use common::entity::exec::Exec;
use common::entity::json;
use common::entity::name::Fqn;
use common::entity::package::Package;
use common::entity::parameters::Parameters;
use common::store::{ArtifactStore, EntityKind, StoreError};
use futures::FutureExt;
use futures::future::BoxFuture;

/// Why a sequence is not written.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// It has no component.
    #[error("No component specified for the sequence.")]
    Empty,
    /// It has too many.
    #[error("Too many actions in the sequence.")]
    TooLong,
    /// It comes to itself.
    #[error("Sequence may not refer to itself.")]
    Cyclic,
    /// One is not there.
    #[error("Sequence component does not exist.")]
    NoComponent,
    /// What is named as an action or a package is none.
    #[error("what a component names is no action")]
    OtherKind,
    /// The store.
    #[error("the store failed while a sequence was checked")]
    Store(#[from] StoreError),
}

/// What a sequence has in place of parameters: the names of its components.
pub fn parameters(components: &[Fqn]) -> Parameters {
    let names: Vec<String> = components.iter().map(|component| format!("/{}", component.id())).collect();
    let mut parameters = Parameters::new();
    parameters.set("_actions", json::raw(&names));
    parameters
}

/// Checks the components of the sequence of that name; at most `limit` actions may be in it.
pub async fn check(
    store: &dyn ArtifactStore,
    sequence: &Fqn,
    components: &[Fqn],
    limit: u64,
) -> Result<(), SequenceError> {
    if components.is_empty() {
        return Err(SequenceError::Empty);
    }
    let mut counter = Counter { store, sequence: sequence.id(), limit, known: HashMap::new() };
    let count = counter.count(components, 0).await?;
    if count > limit { Err(SequenceError::TooLong) } else { Ok(()) }
}

struct Counter<'a> {
    store: &'a dyn ArtifactStore,
    sequence: String,
    limit: u64,
    /// How many actions are in what was looked at already, by id.
    known: HashMap<String, u64>,
}

impl Counter<'_> {
    /// How many actions these are, those of sequences counted in their place.
    fn count<'b>(
        &'b mut self,
        components: &'b [Fqn],
        depth: u64,
    ) -> BoxFuture<'b, Result<u64, SequenceError>> {
        async move {
            if components.len() as u64 > self.limit || depth > self.limit {
                return Err(SequenceError::TooLong);
            }
            let mut count: u64 = 0;
            for component in components {
                let id = self.place(component).await?;
                if id == self.sequence {
                    return Err(SequenceError::Cyclic);
                }
                let own = match self.known.get(&id) {
                    Some(known) => *known,
                    None => {
                        let own = self.look(&id, depth).await?;
                        self.known.insert(id, own);
                        own
                    }
                };
                count = count.saturating_add(own);
            }
            Ok(count)
        }
        .boxed()
    }

    async fn look(&mut self, id: &str, depth: u64) -> Result<u64, SequenceError> {
        let action: Action = self.read(id, EntityKind::Action).await?;
        match &action.exec {
            Exec::Sequence { components, .. } => self.count(components, depth + 1).await,
            Exec::Blackbox { .. } | Exec::Code { .. } => Ok(1),
        }
    }

    /// Where a component really is, if a binding is in its name.
    async fn place(&self, component: &Fqn) -> Result<String, SequenceError> {
        if component.path.package().is_none() {
            return Ok(component.id());
        }
        let package: Package = self.read(component.path.as_str(), EntityKind::Package).await?;
        Ok(match package.binding {
            Some(binding) => format!("{}/{}", binding.id(), component.name),
            None => component.id(),
        })
    }

    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        id: &str,
        kind: EntityKind,
    ) -> Result<T, SequenceError> {
        let stored = self.store.get(id).await?.ok_or(SequenceError::NoComponent)?;
        if stored.kind != kind {
            return Err(SequenceError::OtherKind);
        }
        Ok(stored.read()?)
    }
}
