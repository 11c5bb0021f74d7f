//! What a PUT says about a package or binding, once what is measured of its body is ([`super::draft`]).

use common::entity::name::EntityName;
use common::entity::package::Binding;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use serde_json::value::RawValue;

use super::draft::Draft;
use super::members::{Malformed, Members};

/// What a PUT says about a package; what it leaves out is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackagePut {
    /// What it is to be bound to.
    pub binding: Option<Binding>,
    /// All of them: they replace what is stored.
    pub parameters: Option<Parameters>,
    /// All of them, too.
    pub annotations: Option<Parameters>,
    /// In place of the next one.
    pub version: Option<SemVer>,
    /// Whether strangers may use it.
    pub publish: Option<bool>,
}

impl PackagePut {
    /// Binds what a draft has not bound yet, in that namespace.
    pub fn bind(draft: Draft<'_>, namespace: &EntityName) -> Result<Self, Malformed> {
        let Draft { members, parameters, annotations } = draft;
        let binding = match members.get("binding") {
            None if members.contains("binding") => {
                return Err(Malformed::new("Object expected in field 'namespace'"));
            }
            None => None,
            Some(value) => binding(value, namespace)?,
        };
        let (version, publish) = (members.version()?, members.flag("publish")?);
        Ok(Self { binding, parameters, annotations, version, publish })
    }
}

/// `{}` is as if nothing was said, and the namespace `_` is the one of the path.
fn binding(value: &RawValue, own: &EntityName) -> Result<Option<Binding>, Malformed> {
    let members = Members::of(value)?;
    if members.is_empty() {
        return Ok(None);
    }
    let name = |member: &str| match members.text(member) {
        Some(Ok(text)) => EntityName::parse(&text).map_err(|error| Malformed(error.to_string())),
        Some(Err(())) => Err(Malformed::new("entity name malformed")),
        None => Err(Malformed(format!("Object is missing required member '{member}'"))),
    };
    let (namespace, name) = (name("namespace")?, name("name")?);
    let namespace = if namespace.as_str() == "_" { own.clone() } else { namespace };
    Ok(Some(Binding { namespace, name }))
}

#[cfg(test)]
mod tests {
    use common::entity::limits::ByteSize;

    use super::super::action_put::TooLarge;
    use super::*;

    fn bound(body: &str) -> Result<PackagePut, Malformed> {
        PackagePut::bind(Draft::read(body.as_bytes())?, &EntityName::parse("guest").unwrap())
    }

    #[test]
    fn an_empty_binding_is_none_and_the_namespace_is_resolved() {
        for body in ["{}", r#"{"binding":{}}"#, r#"{"version":null,"publish":null,"x":1,"exec":{"kind":7}}"#]
        {
            assert_eq!(bound(body).unwrap(), PackagePut::default(), "{body}");
        }
        for (namespace, meant) in [("_", "guest"), ("other", "other")] {
            let put = bound(&format!(r#"{{"binding":{{"namespace":"{namespace}","name":"p"}}}}"#)).unwrap();
            assert_eq!(put.binding.unwrap().id(), format!("{meant}/p"));
        }
    }

    #[test]
    fn each_fault_is_told() {
        for (body, told) in [
            ("[]", "JSON object expected"),
            (r#"{"binding":null}"#, "Object expected in field 'namespace'"),
            (r#"{"binding":"a/b"}"#, "JSON object expected"),
            (r#"{"binding":{"name":"p"}}"#, "Object is missing required member 'namespace'"),
            (r#"{"binding":{"namespace":"n","name":7}}"#, "entity name malformed"),
            (
                r#"{"binding":{"namespace":"n","name":"a/b"}}"#,
                "The name of the entity contains illegal characters.",
            ),
            (r#"{"parameters":{}}"#, "parameters malformed!"),
            (r#"{"version":"x"}"#, "semantic version malformed"),
            (r#"{"publish":"x"}"#, "Expected JsBoolean, but got \"x\""),
        ] {
            assert_eq!(bound(body).unwrap_err().0, told, "{body}");
        }
    }

    #[test]
    fn parameters_and_annotations_are_measured() {
        let draft = Draft::read(br#"{"parameters":[{"key":"ab","value":[1, 2]}]}"#).unwrap();
        assert!(draft.check_sizes(ByteSize::from_bytes(7)).is_ok());
        let told = draft.check_sizes(ByteSize::from_bytes(6)).unwrap_err();
        assert_eq!(told, TooLarge { part: "parameters", size: 7, allowed: 6 });
    }
}
