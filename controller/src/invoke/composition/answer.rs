//! What a conductor's answer means, and what follows from it: pure.
//!
//! A conductor answers with `action`, `params` and `state`, or with a result. Limits are shared by a
//! composition and all that are nested in it. Upstream: `invokeConductor` in
//! `core/controller/src/main/scala/org/apache/openwhisk/core/controller/actions/PrimitiveActions.scala`.

use common::entity::json::{self, Shape};
use common::entity::name::{EntityName, EntityPath, Fqn};
use serde_json::json;
use serde_json::value::RawValue;

/// A composition, or what is nested in it, is too long.
pub const TOO_LONG: &str = "Too many actions in the composition.";

/// What a composition and all nested ones may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: u64,
    components: u64,
    conductors: u64,
}

impl Budget {
    /// A fresh one, with the limit of sequences.
    pub fn new(limit: u64) -> Self {
        Self { limit, components: 0, conductors: 0 }
    }

    /// Counts one more conductor's turn; false if there may be none: n components need 2n + 1 turns, if
    /// each was a composition with none of its own.
    #[must_use]
    pub fn take_turn(&mut self) -> bool {
        let may = self.conductors <= self.limit.saturating_mul(2);
        self.conductors += u64::from(may);
        may
    }

    /// Counts one more component that is no composition.
    pub fn take_component(&mut self) {
        self.components += 1;
    }

    fn is_spent(self) -> bool {
        self.components >= self.limit
    }
}

/// What is to be done after a conductor's turn.
#[derive(Debug)]
pub enum Next {
    /// The composition ends with that result, and with the conductor's status.
    End(Box<RawValue>),
    /// A component is to be invoked with these arguments.
    Invoke {
        /// Which.
        component: Fqn,
        /// An object.
        arguments: Box<RawValue>,
    },
    /// The conductor is told what is wrong.
    Tell(String),
}

/// What is to be done after a conductor's turn, and what it wants to remember until the next.
pub fn after_conductor(result: &RawValue, own: &EntityName, budget: Budget) -> (Next, Option<Box<RawValue>>) {
    let field = |name: &str| json::member(result, name);
    let arguments = field("params").map(|params| boxed("value", params));
    let state = field("state").map(|state| boxed("state", state));
    let next = match field("action") {
        None => Next::End(arguments.unwrap_or_else(|| result.to_owned())),
        Some(name) => match resolve(name, own) {
            None => Next::Tell(invalid(name)),
            Some(_) if budget.is_spent() => Next::Tell(TOO_LONG.to_owned()),
            Some(component) => {
                Next::Invoke { component, arguments: arguments.unwrap_or_else(json::empty_object) }
            }
        },
    };
    (next, state)
}

/// What a conductor is called with: what came before, with what it wanted to remember over it.
pub fn conductor_arguments(before: &RawValue, state: Option<&RawValue>) -> Box<RawValue> {
    let before = boxed("value", before);
    match state {
        Some(state) => json::merged(&before, state),
        None => before,
    }
}

/// An error that a conductor is called with.
pub fn told(text: &str) -> Box<RawValue> {
    json::raw(&json!({ "error": text }))
}

/// The name of a component is none.
fn invalid(name: &RawValue) -> String {
    format!("Failed to parse action name from json value {} during composition.", json::compact(name.get()))
}

/// There is no such component.
pub fn not_found(component: &Fqn) -> String {
    format!("Failed to resolve action with name '{}' during composition.", component.id())
}

/// The component is not the caller's.
pub fn not_entitled(component: &Fqn) -> String {
    format!("Failed entitlement check for action with name '{}' during composition.", component.id())
}

/// An object stays as it is; anything else becomes the one member of an object.
fn boxed(key: &str, value: &RawValue) -> Box<RawValue> {
    match json::shape(value) {
        Shape::Object => value.to_owned(),
        Shape::Array | Shape::Scalar => json::raw(&std::collections::BTreeMap::from([(key, value)])),
    }
}

/// The action that a conductor names: `a`, `p/a`, `ns/p/a`, `/ns/a` or `/ns/p/a`, with `_` for the
/// caller's namespace where one is named.
fn resolve(name: &RawValue, own: &EntityName) -> Option<Fqn> {
    let text: String = serde_json::from_str(name.get()).ok()?;
    let is_absolute = text.starts_with('/');
    let segments: Vec<_> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    let names =
        segments.iter().map(|segment| EntityName::parse(segment)).collect::<Result<Vec<_>, _>>().ok()?;
    let at = |namespace: &EntityName| EntityPath::of(if namespace.as_str() == "_" { own } else { namespace });
    match (is_absolute, names.as_slice()) {
        (false, [name]) => Some(Fqn::new(EntityPath::of(own), name.clone())),
        (false, [package, name]) => Some(Fqn::new(EntityPath::of(own).join(package), name.clone())),
        (true, [namespace, name]) => Some(Fqn::new(at(namespace), name.clone())),
        (_, [namespace, package, name]) => Some(Fqn::new(at(namespace).join(package), name.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn own() -> EntityName {
        EntityName::parse("me").unwrap()
    }

    fn after(result: &str) -> (Next, Option<String>) {
        let (next, state) = after_conductor(&raw(result), &own(), Budget::new(50));
        (next, state.map(|state| state.get().to_owned()))
    }

    #[test]
    fn without_an_action_the_composition_ends() {
        for (result, end) in [
            (r#"{"payload":"x"}"#, r#"{"payload":"x"}"#),
            (r#"{"params":{"payload":"x"},"other":1}"#, r#"{"payload":"x"}"#),
            (r#"{"params":7}"#, r#"{"value":7}"#),
            (r#"{"params":null}"#, r#"{"value":null}"#),
            (r#"{"state":{"a":1},"x":2}"#, r#"{"state":{"a":1},"x":2}"#),
            (r#"{"error":"x"}"#, r#"{"error":"x"}"#),
            ("[1]", "[1]"),
        ] {
            assert!(matches!(after(result).0, Next::End(found) if found.get() == end), "{result}");
        }
    }

    #[test]
    fn a_component_gets_the_params_alone() {
        for (result, arguments, state) in [
            (r#"{"action":"a","n":1}"#, "{}", None),
            (r#"{"action":"a","params":{"n":1},"state":{"w":42}}"#, r#"{"n":1}"#, Some(r#"{"w":42}"#)),
            (r#"{"action":"a","params":[1],"state":7}"#, r#"{"value":[1]}"#, Some(r#"{"state":7}"#)),
        ] {
            let (next, kept) = after(result);
            assert_eq!(kept.as_deref(), state, "{result}");
            let Next::Invoke { component, arguments: found } = next else { panic!("{result}: {next:?}") };
            assert_eq!((component.id().as_str(), found.get()), ("me/a", arguments), "{result}");
        }
    }

    #[test]
    fn names_are_resolved_as_upstream_resolves_them() {
        for (name, id) in [
            ("a", Some("me/a")),
            ("a/b", Some("me/a/b")),
            ("a/b/c", Some("a/b/c")),
            ("/a/b/c", Some("a/b/c")),
            ("/a/b", Some("a/b")),
            ("/_/a", Some("me/a")),
            ("/_/p/a", Some("me/p/a")),
            ("_/p/a", Some("me/p/a")),
            ("", None),
            ("/", None),
            ("/a", None),
            ("a/b/c/d", None),
            ("/a/b/c/d", None),
            ("invalid#Action", None),
        ] {
            let found = resolve(&json::raw(name), &own()).map(|fqn| fqn.id());
            assert_eq!(found.as_deref(), id, "{name}");
        }
        for (name, shown) in [("\"x # y\"", "\"x # y\""), ("null", "null"), ("[ 1, 2 ]", "[1,2]")] {
            let text = format!("Failed to parse action name from json value {shown} during composition.");
            let next = after(&format!(r#"{{"action":{name}}}"#)).0;
            assert!(matches!(&next, Next::Tell(told) if *told == text), "{next:?}");
        }
    }

    #[test]
    fn what_a_conductor_remembers_wins_over_what_came() {
        let arguments = |before: &str, state: Option<&str>| {
            let state = state.map(raw);
            conductor_arguments(&raw(before), state.as_deref()).get().to_owned()
        };
        assert_eq!(arguments(r#"{"n":1,"w":2}"#, Some(r#"{"w":42}"#)), r#"{"n":1,"w":42}"#);
        assert_eq!(arguments(r#"{"n":1}"#, None), r#"{"n":1}"#);
        assert_eq!(arguments("[1]", Some(r#"{"w":42}"#)), r#"{"value":[1],"w":42}"#);
        assert_eq!(told("a \"b\"").get(), r#"{"error":"a \"b\""}"#);
    }

    #[test]
    fn so_many_components_and_twice_as_many_turns_and_one() {
        let mut budget = Budget::new(2);
        let next = |budget| after_conductor(&raw(r#"{"action":"a"}"#), &own(), budget).0;
        for _ in 0..2 {
            assert!(matches!(next(budget), Next::Invoke { .. }));
            budget.take_component();
        }
        assert!(matches!(next(budget), Next::Tell(text) if text == TOO_LONG));
        assert!(matches!(after_conductor(&raw("{}"), &own(), budget).0, Next::End(_)));
        let turns = std::iter::from_fn(|| budget.take_turn().then_some(())).count();
        assert_eq!(turns, 5);
    }
}
