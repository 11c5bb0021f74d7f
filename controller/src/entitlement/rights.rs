//! Who may do what: the owner everything, strangers nothing but what a package opens to them
//! (`.../core/entitlement/{Collection,ActionCollection,PackageCollection}.scala`).

use common::entity::identity::Right;
use common::entity::name::EntityName;

/// What somebody wants to reach.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Whose it is.
    pub namespace: &'a EntityName,
    /// The package that it is in.
    pub package: Option<&'a EntityName>,
    /// Its name; none for a whole collection.
    pub name: Option<&'a str>,
}

/// What the path alone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No; the text names what is out of reach.
    Denied(String),
    /// Whether the package may be read.
    PackageDecides {
        /// The document id of the package.
        id: String,
        /// What a stranger is told is out of reach.
        stranger: String,
    },
}

/// Judges by the path. `owns`: the caller's namespace is the resource's.
pub fn judge(owns: bool, right: Right, resource: &Resource<'_>) -> Verdict {
    let Resource { namespace, package, name } = resource;
    match (package, name, right) {
        (Some(package), None, _) | (Some(package), Some(_), Right::Read | Right::Activate) => {
            let id = format!("{namespace}/{package}");
            Verdict::PackageDecides { stranger: id.clone(), id }
        }
        // To write needs ownership, and the package must be there.
        (Some(package), Some(name), Right::Put | Right::Delete) => Verdict::PackageDecides {
            id: format!("{namespace}/{package}"),
            stranger: format!("{namespace}/{package}/{name}"),
        },
        (None, _, _) if owns => Verdict::Allowed,
        (None, Some(name), _) => Verdict::Denied(format!("{namespace}/{name}")),
        (None, None, _) => Verdict::Denied(namespace.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_follow_from_the_path() {
        let (ns, pkg) = (EntityName::parse("ns").unwrap(), EntityName::parse("p").unwrap());
        let judged = |owns, right, package: bool, name| {
            let package = package.then_some(&pkg);
            judge(owns, right, &Resource { namespace: &ns, package, name })
        };
        let denied = |text: &str| Verdict::Denied(text.to_owned());
        let decides =
            |stranger: &str| Verdict::PackageDecides { id: "ns/p".to_owned(), stranger: stranger.to_owned() };
        for right in common::entity::identity::ALL_RIGHTS {
            assert_eq!(judged(true, right, false, Some("a")), Verdict::Allowed);
            assert_eq!(judged(false, right, false, Some("a")), denied("ns/a"));
        }
        assert_eq!(judged(true, Right::Read, false, None), Verdict::Allowed);
        assert_eq!(judged(false, Right::Read, false, None), denied("ns"));
        for right in [Right::Read, Right::Activate] {
            assert_eq!(judged(false, right, true, Some("a")), decides("ns/p"));
        }
        for right in [Right::Put, Right::Delete] {
            assert_eq!(judged(false, right, true, Some("a")), decides("ns/p/a"));
        }
        assert_eq!(judged(true, Right::Read, true, None), decides("ns/p"));
    }
}
