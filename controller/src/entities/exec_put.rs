//! The `exec` of a PUT: a kind that the manifest resolves, code that is judged, never trusted.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/Exec.scala`. Sequences are not
//! among the kinds yet.

use common::entity::exec::{self, BLACKBOX, BlackboxKind, CodeRef, Exec};
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
    /// What the size limit counts: code, main and image, in bytes.
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
        if kind == BLACKBOX { blackbox(&members) } else { managed(&members, &kind, manifest) }
    }
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
        let known = manifest.kinds().map(|known| known.kind.as_str()).chain([BLACKBOX]);
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
                "The specified runtime 'foobar' is not supported by this platform. Valid values are: 'java:8', 'nodejs:18', 'nodejs:20', 'blackbox'.",
            ),
            (
                r#"{"kind":"sequence","components":[]}"#,
                "The specified runtime 'sequence' is not supported by this platform. Valid values are: 'java:8', 'nodejs:18', 'nodejs:20', 'blackbox'.",
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
