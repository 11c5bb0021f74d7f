//! Which id a claim gets.

use super::{Claim, ClaimError};

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
/// An inherited id comes first, and at once: its former holder is known to be dead. A name comes next.
/// A name that another live node has is refused whatever was inherited.
pub(super) fn choose(known: &[Known], claim: &Claim) -> Result<i32, ClaimError> {
    let name = claim.name.as_deref();
    let named = known.iter().find(|row| name.is_some() && row.unique_name.as_deref() == name);
    let inherited = claim.inherits.as_ref().filter(|mark| mark.kind == claim.kind).and_then(|mark| {
        known.iter().find(|row| row.id.unsigned_abs() == mark.id && row.holder == mark.holder)
    });
    match (inherited, named) {
        (Some(mine), None) => Ok(mine.id),
        (Some(mine), Some(named)) if mine.id == named.id || !named.live => Ok(mine.id),
        (_, Some(Known { id, unique_name: Some(name), live: true, .. })) => {
            Err(ClaimError::Taken { kind: claim.kind, name: name.clone(), id: id.unsigned_abs() })
        }
        (_, Some(named)) => Ok(named.id),
        (None, None) => {
            let free = (0..).find(|id| !known.iter().any(|row| row.id == *id && row.live));
            Ok(free.expect("there are fewer rows than numbers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{NodeKind, NodeMark};

    fn row(id: i32, name: Option<&str>, live: bool) -> Known {
        Known { id, unique_name: name.map(str::to_owned), holder: format!("holder-{id}"), live }
    }

    fn claim(name: Option<&str>, inherits: Option<(NodeKind, u32, &str)>) -> Claim {
        let inherits = inherits.map(|(kind, id, holder)| NodeMark { kind, id, holder: holder.to_owned() });
        let name = name.map(str::to_owned);
        Claim { kind: NodeKind::Invoker, name, address: "host:1".into(), inherits }
    }

    #[test]
    fn what_is_inherited_comes_first_then_a_name_then_the_lowest() {
        const MINE: Option<(NodeKind, u32, &str)> = Some((NodeKind::Invoker, 2, "holder-2"));
        let known = [
            row(0, Some("a"), true),
            row(1, None, true),
            row(2, None, true),
            row(4, Some("b"), false),
            row(5, None, false),
        ];
        for (what, name, inherits, chosen) in [
            ("a gap comes before a row that is free", None, None, Some(3)),
            ("a new name is like none", Some("c"), None, Some(3)),
            ("a known name gets its id", Some("b"), None, Some(4)),
            ("a live name is taken", Some("a"), None, None),
            ("what is inherited need not be free", None, MINE, Some(2)),
            ("a new name goes with it", Some("c"), MINE, Some(2)),
            ("and the name of a dead row", Some("b"), MINE, Some(2)),
            ("but not that of a live one", Some("a"), MINE, None),
            (
                "a live name's own holder comes back",
                Some("a"),
                Some((NodeKind::Invoker, 0, "holder-0")),
                Some(0),
            ),
            ("another holds it now", None, Some((NodeKind::Invoker, 2, "former")), Some(3)),
            ("it is of another kind", None, Some((NodeKind::Controller, 2, "holder-2")), Some(3)),
            ("it is unknown", None, Some((NodeKind::Invoker, u32::MAX, "holder-2")), Some(3)),
            ("the name counts then", Some("b"), Some((NodeKind::Invoker, 2, "former")), Some(4)),
        ] {
            assert_eq!(choose(&known, &claim(name, inherits)).ok(), chosen, "{what}");
        }
        assert_eq!(choose(&known[3..], &claim(None, None)).ok(), Some(0));
        assert_eq!(choose(&[row(0, Some("a"), false)], &claim(None, None)).ok(), Some(0));
        assert_eq!(choose(&[], &claim(Some("a"), MINE)).ok(), Some(0));
    }
}
