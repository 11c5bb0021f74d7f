//! Which id a claim gets.

use super::{Claim, ClaimError};
use crate::nodes::NodeMark;

/// A row of the table, as a claim reads it.
#[derive(sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: i32,
    pub(super) unique_name: Option<String>,
    pub(super) holder: String,
    /// Whether its lease still runs.
    pub(super) live: bool,
}

/// The id for a claim, given all rows of its kind.
///
/// An inherited id comes first, and at once: its former holder is known to be dead. It is that of a node of
/// the same name, or of one without a name for one without. The id of the name comes next.
pub(super) fn choose(known: &[Known], claim: &Claim) -> Result<i32, ClaimError> {
    let name = claim.name.as_deref();
    let is_left = |row: &Known| {
        let left = |mark: &NodeMark| {
            mark.kind == claim.kind && row.id.unsigned_abs() == mark.id && row.holder == mark.holder
        };
        claim.inherits.iter().any(left)
    };
    if let Some(mine) = known.iter().find(|row| row.unique_name.as_deref() == name && is_left(row)) {
        return Ok(mine.id);
    }
    match known.iter().find(|row| name.is_some() && row.unique_name.as_deref() == name) {
        Some(Known { id, unique_name: Some(name), live: true, .. }) => {
            Err(ClaimError::Taken { kind: claim.kind, name: name.clone(), id: id.unsigned_abs() })
        }
        Some(named) => Ok(named.id),
        None => {
            let free = (0..).find(|id| !known.iter().any(|row| row.id == *id && row.live));
            Ok(free.expect("there are fewer rows than numbers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::NodeKind;

    fn row(id: i32, name: Option<&str>, live: bool) -> Known {
        Known { id, unique_name: name.map(str::to_owned), holder: format!("holder-{id}"), live }
    }

    fn claim(name: Option<&str>, inherits: &[(NodeKind, u32, &str)]) -> Claim {
        let mark = |(kind, id, holder): &(NodeKind, u32, &str)| NodeMark {
            kind: *kind,
            id: *id,
            holder: (*holder).to_owned(),
        };
        let (name, inherits) = (name.map(str::to_owned), inherits.iter().map(mark).collect());
        Claim { kind: NodeKind::Invoker, name, address: "host:1".into(), inherits }
    }

    #[test]
    fn what_is_inherited_comes_first_then_a_name_then_the_lowest() {
        const NAMED: (NodeKind, u32, &str) = (NodeKind::Invoker, 0, "holder-0");
        const NAMELESS: (NodeKind, u32, &str) = (NodeKind::Invoker, 2, "holder-2");
        let known = [
            row(0, Some("a"), true),
            row(1, None, true),
            row(2, None, true),
            row(4, Some("b"), false),
            row(5, None, false),
        ];
        for (what, name, inherits, chosen) in [
            ("a gap comes before a row that is free", None, &[][..], Some(3)),
            ("a new name is like none", Some("c"), &[], Some(3)),
            ("a known name gets its id", Some("b"), &[], Some(4)),
            ("a live name is taken", Some("a"), &[], None),
            ("what is inherited need not be free", None, &[NAMELESS], Some(2)),
            ("it need not be the first that was left", None, &[NAMED, NAMELESS], Some(2)),
            ("a name inherits its own alone", Some("a"), &[NAMELESS, NAMED], Some(0)),
            ("not what nobody's name was on", Some("b"), &[NAMELESS], Some(4)),
            ("nor does the nameless a name's", None, &[NAMED], Some(3)),
            ("another holds it now", None, &[(NodeKind::Invoker, 2, "former")], Some(3)),
            ("it is of another kind", None, &[(NodeKind::Controller, 2, "holder-2")], Some(3)),
            ("it is unknown", None, &[(NodeKind::Invoker, u32::MAX, "holder-2")], Some(3)),
        ] {
            assert_eq!(choose(&known, &claim(name, inherits)).ok(), chosen, "{what}");
        }
        assert_eq!(choose(&known[3..], &claim(None, &[])).ok(), Some(0));
        assert_eq!(choose(&[row(0, Some("a"), false)], &claim(None, &[])).ok(), Some(0));
        assert_eq!(choose(&[], &claim(Some("a"), &[NAMELESS])).ok(), Some(0));
    }
}
