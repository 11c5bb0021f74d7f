//! The bodies of PUT and POST of a rule.

use common::entity::name::{EntityName, Fqn, NameError};
use common::entity::parameters::Parameters;
use common::entity::trigger::RuleStatus;
use common::entity::version::SemVer;
use serde_json::value::RawValue;

use super::draft::Draft;
use super::members::{Malformed, Members, parse_value};

/// What a PUT says about a rule; what it leaves out is absent. Its status is no part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulePut {
    /// What is fired.
    pub trigger: Option<Fqn>,
    /// What runs.
    pub action: Option<Fqn>,
    /// All of them: they replace what is stored.
    pub annotations: Option<Parameters>,
    /// In place of the next one.
    pub version: Option<SemVer>,
    /// Kept and shown.
    pub publish: Option<bool>,
}

impl RulePut {
    /// Binds what is left of a body. In names, `_` is the namespace of the rule.
    pub fn bind(draft: Draft<'_>, namespace: &EntityName) -> Result<Self, Malformed> {
        let Draft { members, annotations, .. } = draft;
        let name = |member: &str| members.get(member).map(|value| fqn(value, namespace)).transpose();
        Ok(Self {
            trigger: name("trigger")?,
            action: name("action")?,
            annotations,
            version: members.version()?,
            publish: members.flag("publish")?,
        })
    }
}

fn fqn(value: &RawValue, namespace: &EntityName) -> Result<Fqn, Malformed> {
    let fqn = match serde_json::from_str::<String>(value.get()) {
        Ok(text) => Fqn::parse(&text),
        Err(_) => serde_json::from_str(value.get()).map_err(|_| NameError::Malformed),
    };
    match fqn {
        Ok(fqn) => Ok(fqn.within(namespace)),
        Err(error @ NameError::Unqualified) => Err(Malformed(error.to_string())),
        Err(_) => Err(Malformed(NameError::Malformed.to_string())),
    }
}

/// The status that the body of a POST asks for.
pub fn status(body: &[u8]) -> Result<RuleStatus, Malformed> {
    let members = Members::of(parse_value(body)?)?;
    let given = members.get("status").ok_or_else(|| Malformed::new("key not found: status"))?;
    serde_json::from_str(given.get()).map_err(|_| {
        let word = given.get().trim_matches('"');
        Malformed(format!("requirement failed: {word} is not a recognized rule state"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(body: &str) -> Result<RulePut, Malformed> {
        let namespace = EntityName::parse("ns").unwrap();
        Draft::read(body.as_bytes()).and_then(|draft| RulePut::bind(draft, &namespace))
    }

    #[test]
    fn names_are_read_in_every_form() {
        for (given, id) in [
            (r#""/_/a""#, "ns/a"),
            (r#""_/p/a""#, "ns/p/a"),
            (r#""/other/p/a""#, "other/p/a"),
            (r#"{"path":"_/p","name":"a"}"#, "ns/p/a"),
        ] {
            let put = put(&format!(r#"{{"action":{given},"status":"","trigger":null}}"#)).unwrap();
            assert_eq!((put.action.unwrap().id().as_str(), put.trigger), (id, None), "{given}");
        }
        for (given, told) in [
            (
                r#""a""#,
                "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.",
            ),
            (r#""/ns/a,b""#, "fully qualified name malformed"),
            ("7", "fully qualified name malformed"),
            (r#"{"path":"ns"}"#, "fully qualified name malformed"),
        ] {
            assert_eq!(put(&format!(r#"{{"trigger":{given}}}"#)).unwrap_err().0, told, "{given}");
        }
    }

    #[test]
    fn a_status_is_one_of_two_words() {
        let told = |body: &str| status(body.as_bytes()).map_err(|malformed| malformed.0);
        assert_eq!(told(r#"{"status":"active","trigger":null}"#), Ok(RuleStatus::Active));
        assert_eq!(told(r#"{"status":"inactive"}"#), Ok(RuleStatus::Inactive));
        assert_eq!(told("{}").unwrap_err(), "key not found: status");
        let unknown = "requirement failed: foo is not a recognized rule state";
        assert_eq!(told(r#"{"status":"foo"}"#).unwrap_err(), unknown);
        assert!(told("").is_err());
    }
}
