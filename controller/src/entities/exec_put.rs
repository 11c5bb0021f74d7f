//! The `exec` of a PUT: a kind that the manifest resolves, code that is judged, never trusted.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/Exec.scala`. Whether the components
//! of a sequence are there is somebody else's.

use common::entity::exec::{self, BLACKBOX, BlackboxKind, CodeRef, Exec, SEQUENCE, SequenceKind};
use common::entity::name::{EntityName, EntityPath, Fqn, NameError};
use common::manifest::{ImageName, Manifest};
use serde_json::value::RawValue;

use super::members::{Malformed, Members};

/// What an action is to run, with its code.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecPut {
    /// As it is stored.
    pub exec: Exec,
    /// The code that it refers to.
    pub code: Option<String>,
    /// What the size limit counts: code, main and image, or the names of components, in bytes.
    pub size: u64,
}

impl ExecPut {
    /// Reads the `exec` member of a PUT.
    pub fn parse(value: &RawValue, manifest: &Manifest) -> Result<Self, Malformed> {
        let members = Members::of(value)?;
        let Some(Ok(kind)) = members.text("kind") else {
            return Err(Malformed::new("'kind' must be a string defined in 'exec'"));
        };
        let kind = kind.trim().to_lowercase();
        match kind.as_str() {
            SEQUENCE => sequence(&members),
            BLACKBOX => blackbox(&members),
            _ => managed(&members, &kind, manifest),
        }
    }

    /// Puts the caller's namespace in place of `_` in the names of components.
    pub fn settle(&mut self, own: &EntityName) {
        let Exec::Sequence { components, .. } = &mut self.exec else { return };
        for component in components.iter_mut().filter(|component| component.namespace().as_str() == "_") {
            let own = EntityPath::of(own);
            component.path =
                component.path.package().map_or_else(|| own.clone(), |package| own.join(&package));
        }
    }
}

fn sequence(members: &Members<'_>) -> Result<ExecPut, Malformed> {
    let Some(components) = members.get("components") else {
        return Err(Malformed::new("'components' must be defined for sequence kind"));
    };
    let components: Vec<&RawValue> = serde_json::from_str(components.get())
        .map_err(|_| Malformed::new("'components' must be an array"))?;
    let components = components.into_iter().map(component).collect::<Result<Vec<_>, _>>()?;
    let size = components.iter().map(|component| component.id().len() as u64).sum();
    Ok(ExecPut { exec: Exec::Sequence { kind: SequenceKind::Sequence, components }, code: None, size })
}

/// A text, or an object with a path and a name.
fn component(value: &RawValue) -> Result<Fqn, Malformed> {
    if let Ok(text) = serde_json::from_str::<String>(value.get()) {
        return Fqn::parse(&text).map_err(|error| Malformed(error.to_string()));
    }
    let named: Fqn =
        serde_json::from_str(value.get()).map_err(|_| Malformed(NameError::Malformed.to_string()))?;
    Ok(Fqn::new(named.path, named.name))
}

fn blackbox(members: &Members<'_>) -> Result<ExecPut, Malformed> {
    let Some(Ok(image)) = members.text("image") else {
        return Err(Malformed::new("'image' must be a string defined in 'exec' for 'blackbox' actions"));
    };
    let image = ImageName::check(image.trim()).map_err(|error| Malformed(error.to_string()))?.to_owned();
    let code = match members.text("code") {
        Some(Err(())) => {
            return Err(Malformed::new(
                "if defined, 'code' must a string defined in 'exec' for 'blackbox' actions",
            ));
        }
        Some(Ok(code)) if !code.trim().is_empty() => Some(code),
        Some(Ok(_)) | None => None,
    };
    let main = main(members, BLACKBOX)?;
    let size =
        [code.as_deref(), main.as_deref(), Some(&*image)].into_iter().flatten().map(str::len).sum::<usize>();
    let exec = Exec::Blackbox {
        kind: BlackboxKind::Blackbox,
        image,
        code: code.as_deref().map(CodeRef::of),
        binary: code.as_deref().is_some_and(exec::is_binary_code),
        main,
    };
    Ok(ExecPut { exec, code, size: size as u64 })
}

fn managed(members: &Members<'_>, kind: &str, manifest: &Manifest) -> Result<ExecPut, Malformed> {
    let Some(runtime) = manifest.resolve(kind) else {
        let known = manifest.kinds().map(|known| known.kind.as_str()).chain([SEQUENCE, BLACKBOX]);
        let known: Vec<String> = known.map(|known| format!("'{known}'")).collect();
        return Err(Malformed(format!(
            "The specified runtime '{kind}' is not supported by this platform. Valid values are: {}.",
            known.join(", ")
        )));
    };
    // The older name of java's code.
    let Some(Ok(code)) = members.text("code").or_else(|| members.text("jar")) else {
        return Err(Malformed(format!(
            "'code' must be a string or attachment object defined in 'exec' for '{kind}' actions"
        )));
    };
    let main = main(members, kind)?;
    if runtime.require_main && main.is_none() {
        return Err(Malformed(format!("'main' must be a string defined in 'exec' for '{kind}' actions")));
    }
    let size = (code.len() + main.as_ref().map_or(0, String::len)) as u64;
    let exec = Exec::Code {
        kind: runtime.kind.clone(),
        code: CodeRef::of(&code),
        binary: exec::is_binary_code(&code),
        main,
    };
    Ok(ExecPut { exec, code: Some(code), size })
}

fn main(members: &Members<'_>, kind: &str) -> Result<Option<String>, Malformed> {
    members
        .text("main")
        .transpose()
        .map_err(|()| Malformed(format!("if defined, 'main' be a string in 'exec' for '{kind}' actions")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"runtimes":{
        "nodejs":[{"kind":"nodejs:18","image":{"name":"a"}},{"kind":"nodejs:20","default":true,"image":{"name":"b"}}],
        "java":[{"kind":"java:8","requireMain":true,"image":{"name":"c"}}]}}"#;

    fn parse(text: &str) -> Result<ExecPut, Malformed> {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        ExecPut::parse(serde_json::from_str(text).unwrap(), &manifest)
    }

    #[test]
    fn each_fault_has_its_sentence() {
        for (text, told) in [
            ("{}", "'kind' must be a string defined in 'exec'"),
            (r#"{"kind":7}"#, "'kind' must be a string defined in 'exec'"),
            (
                r#"{"kind":"foobar"}"#,
                "The specified runtime 'foobar' is not supported by this platform. Valid values are: 'java:8', 'nodejs:18', 'nodejs:20', 'sequence', 'blackbox'.",
            ),
            (r#"{"kind":"sequence"}"#, "'components' must be defined for sequence kind"),
            (r#"{"kind":"sequence","components":"/_/a"}"#, "'components' must be an array"),
            (r#"{"kind":"sequence","components":[7]}"#, "fully qualified name malformed"),
            (
                r#"{"kind":"sequence","components":["/_/a","b"]}"#,
                "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.",
            ),
            (
                r#"{"kind":"sequence","components":["/_/a#"]}"#,
                "The name of the entity contains illegal characters.",
            ),
            (
                r#"{"kind":"nodejs:20"}"#,
                "'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions",
            ),
            (
                r#"{"kind":"java:default","code":"x"}"#,
                "'main' must be a string defined in 'exec' for 'java:default' actions",
            ),
            (
                r#"{"kind":"nodejs:20","code":"x","main":1}"#,
                "if defined, 'main' be a string in 'exec' for 'nodejs:20' actions",
            ),
            (r#"{"kind":"blackbox"}"#, "'image' must be a string defined in 'exec' for 'blackbox' actions"),
            (r#"{"kind":"blackbox","image":"a b"}"#, "could not parse image name"),
            (
                r#"{"kind":"blackbox","image":"a","main":{}}"#,
                "if defined, 'main' be a string in 'exec' for 'blackbox' actions",
            ),
            ("[]", "JSON object expected"),
        ] {
            assert_eq!(parse(text).unwrap_err().0, told, "{text}");
        }
    }

    #[test]
    fn components_are_settled_in_the_callers_namespace() {
        let text = r#"{"kind":"Sequence","components":["/_/a","_/p/b","/ns/_/c",{"path":"_","name":"d"}]}"#;
        let mut put = parse(text).unwrap();
        assert_eq!((put.exec.kind(), put.code.clone(), put.size), ("sequence", None, 3 + 5 + 6 + 3));
        put.settle(&EntityName::parse("me").unwrap());
        let Exec::Sequence { components, .. } = put.exec else { panic!("{put:?}") };
        let ids: Vec<String> = components.iter().map(Fqn::id).collect();
        assert_eq!(ids, ["me/a", "me/p/b", "ns/_/c", "me/d"]);
    }

    #[test]
    fn the_kind_is_resolved_and_the_code_is_judged() {
        let put = parse(r#"{"kind":" NodeJS:default ","code":"abcd","binary":false,"main":"m"}"#).unwrap();
        assert_eq!((put.exec.kind(), put.exec.is_binary(), put.exec.main()), ("nodejs:20", true, Some("m")));
        assert_eq!((put.size, put.code.as_deref()), (5, Some("abcd")));
        assert!(parse(r#"{"kind":"java:8","jar":"x","main":"M"}"#).is_ok());
        let blank = parse(r#"{"kind":"blackbox","image":"me/it","code":" "}"#).unwrap();
        assert_eq!((blank.code.clone(), blank.exec.is_binary(), blank.size), (None, false, 5));
        let code = parse(r#"{"kind":"blackbox","image":"me/it","code":"a()"}"#).unwrap();
        assert_eq!(code.exec.code(), Some(&CodeRef::of("a()")));
    }
}
