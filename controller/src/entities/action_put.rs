//! The body of a PUT of an action, bound in the order in which upstream finds fault: first what is
//! measured (`exec`, `parameters`, `annotations`), then the rest.

use common::entity::exec::Exec;
use common::entity::limits::{ActionLimitsPut, ByteSize};
use common::entity::name::Fqn;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::manifest::Manifest;

use super::exec_put::ExecPut;
use super::members::{Malformed, Members, parse_value};

/// A part of an entity that is larger than it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} has {size} bytes, {allowed} are allowed")]
pub struct TooLarge {
    /// Its name.
    pub part: &'static str,
    /// What it has.
    pub size: u64,
    /// What it may have.
    pub allowed: u64,
}

impl TooLarge {
    /// Measures parts by name, size and limit; the first that is too large is told.
    pub fn check(parts: &[(&'static str, Option<u64>, ByteSize)]) -> Result<(), Self> {
        for &(part, size, allowed) in parts {
            let (size, allowed) = (size.unwrap_or(0), allowed.bytes());
            if size > allowed {
                return Err(Self { part, size, allowed });
            }
        }
        Ok(())
    }
}

/// What a PUT says about an action; what it leaves out is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionPut {
    /// What to run.
    pub exec: Option<ExecPut>,
    /// All of them: they replace what is stored.
    pub parameters: Option<Parameters>,
    /// Over those that are stored.
    pub annotations: Option<Parameters>,
    /// Each on its own.
    pub limits: ActionLimitsPut,
    /// In place of the next one.
    pub version: Option<SemVer>,
    /// Kept and shown.
    pub publish: Option<bool>,
    /// Stored annotations to be removed first.
    pub del_annotations: Vec<String>,
}

impl ActionPut {
    /// Whether it names something to run, and of which kind.
    pub fn kind(&self) -> Option<&str> {
        self.exec.as_ref().map(|put| Exec::kind(&put.exec))
    }

    /// What it names as components, if it makes a sequence.
    pub fn components(&self) -> &[Fqn] {
        match self.exec.as_ref().map(|put| &put.exec) {
            Some(Exec::Sequence { components, .. }) => components,
            _ => &[],
        }
    }
}

/// A body of which the measured parts are bound.
pub struct Draft<'a> {
    members: Members<'a>,
    put: ActionPut,
}

impl<'a> Draft<'a> {
    /// Splits a body and binds what is measured.
    pub fn read(body: &'a [u8], manifest: &Manifest) -> Result<Self, Malformed> {
        let members = Members::of(parse_value(body)?)?;
        let put = ActionPut {
            exec: members.get("exec").map(|value| ExecPut::parse(value, manifest)).transpose()?,
            parameters: members.parameters("parameters")?,
            annotations: members.parameters("annotations")?,
            ..ActionPut::default()
        };
        Ok(Self { members, put })
    }

    /// Measures code, parameters and annotations; the first that is too large is told.
    pub fn check_sizes(&self, exec: ByteSize, parameters: ByteSize) -> Result<(), TooLarge> {
        let put = &self.put;
        TooLarge::check(&[
            ("exec", put.exec.as_ref().map(|put| put.size), exec),
            ("parameters", put.parameters.as_ref().map(Parameters::size), parameters),
            ("annotations", put.annotations.as_ref().map(Parameters::size), parameters),
        ])
    }

    /// Binds the rest.
    pub fn bind(self) -> Result<ActionPut, Malformed> {
        let Self { members, mut put } = self;
        if let Some(limits) = members.get("limits") {
            let limits = serde_json::from_str(limits.get())?;
            put.limits = ActionLimitsPut::parse(&limits).map_err(|error| Malformed(error.to_string()))?;
        }
        put.version = members.version()?;
        put.publish = members.flag("publish")?;
        if let Some(keys) = members.get("delAnnotations") {
            put.del_annotations = serde_json::from_str(keys.get())
                .map_err(|_| Malformed::new("Expected 'delAnnotations' to be a List of String"))?;
        }
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"runtimes":{"nodejs":[{"kind":"nodejs:20","image":{"name":"b"}}]}}"#;

    fn draft(body: &str) -> Result<Draft<'_>, Malformed> {
        Draft::read(body.as_bytes(), &Manifest::parse(MANIFEST).unwrap())
    }

    #[test]
    fn null_is_absent_and_what_is_unknown_is_ignored() {
        let body = r#"{"exec":null,"parameters":null,"version":null,"publish":null,"limits":null,
            "annotations":null,"delAnnotations":null,"updated":7,"namespace":9,"x":{}}"#;
        assert_eq!(draft(body).unwrap().bind().unwrap(), ActionPut::default());
    }

    #[test]
    fn each_fault_has_its_sentence() {
        for (body, told) in [
            ("[]", "JSON object expected"),
            (r#"{"parameters":{"a":"b"}}"#, "parameters malformed!"),
            (r#"{"annotations":[{"key":"a"}]}"#, "parameters malformed!"),
            (r#"{"version":"xyz"}"#, "semantic version malformed"),
            (r#"{"version":"0.0.0"}"#, "semantic version malformed"),
            (r#"{"version":1}"#, "semantic version malformed"),
            (r#"{"limits":{"timeout":1000.5}}"#, "requirement failed: time limit must be whole number"),
            (r#"{"limits":[]}"#, "JSON object expected"),
        ] {
            let error = draft(body).and_then(Draft::bind).unwrap_err();
            assert_eq!(error.0, told, "{body}");
        }
        for body in [r#"{"publish":"yes"}"#, r#"{"delAnnotations":"a"}"#, r#"{"limits":{"a":}}"#] {
            assert!(draft(body).and_then(Draft::bind).is_err(), "{body}");
        }
    }

    #[test]
    fn the_first_part_that_is_too_large_is_told() {
        let body = r#"{"annotations":[{"key":"abc","value":"x"}],"parameters":[{"key":"ab","value":[1, 2]}],
            "exec":{"kind":"nodejs:20","code":"12345"}}"#;
        let draft = draft(body).unwrap();
        let check = |exec, parameters| {
            draft.check_sizes(ByteSize::from_bytes(exec), ByteSize::from_bytes(parameters))
        };
        let told = |part, size, allowed| Err(TooLarge { part, size, allowed });
        assert_eq!(check(4, 1), told("exec", 5, 4));
        assert_eq!(check(5, 5), told("parameters", 7, 5));
        assert_eq!(check(5, 7), Ok(()));
    }
}
