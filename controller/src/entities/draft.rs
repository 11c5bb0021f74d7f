//! The body of a PUT of a package, a trigger or a rule, of which only what is measured is bound: the rest has its turn
//! after the measuring, as upstream
//! (`common/scala/src/main/scala/org/apache/openwhisk/core/entity/WhiskEntity.scala`, `LimitedWhiskEntityPut`).

use common::entity::limits::ByteSize;
use common::entity::parameters::Parameters;

use super::action_put::TooLarge;
use super::members::{Malformed, Members, parse_value};

/// A body of which parameters and annotations are bound.
pub struct Draft<'a> {
    /// All that it has.
    pub members: Members<'a>,
    /// Its parameters.
    pub parameters: Option<Parameters>,
    /// Its annotations.
    pub annotations: Option<Parameters>,
}

impl<'a> Draft<'a> {
    /// Splits a body and binds what is measured.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let members = Members::of(parse_value(body)?)?;
        let parameters = members.parameters("parameters")?;
        let annotations = members.parameters("annotations")?;
        Ok(Self { members, parameters, annotations })
    }

    /// Measures parameters and annotations; the first that is too large is told.
    pub fn check_sizes(&self, allowed: ByteSize) -> Result<(), TooLarge> {
        TooLarge::check(&[
            ("parameters", self.parameters.as_ref().map(Parameters::size), allowed),
            ("annotations", self.annotations.as_ref().map(Parameters::size), allowed),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_bound_and_the_first_that_is_too_large_is_told() {
        let body =
            br#"{"annotations":[{"key":"abc","value":"x"}],"parameters":[{"key":"ab","value":[1, 2]}]}"#;
        let draft = Draft::read(body).unwrap();
        let check = |allowed| draft.check_sizes(ByteSize::from_bytes(allowed));
        assert_eq!(check(5), Err(TooLarge { part: "parameters", size: 7, allowed: 5 }));
        assert_eq!(check(7), Ok(()));
        assert_eq!(
            Draft::read(br#"{"annotations":{}}"#).err(),
            Some(Malformed::new("parameters malformed!"))
        );
    }
}
