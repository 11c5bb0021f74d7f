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
pub enum Verdict<'a> {
    /// Yes.
    Allowed,
    /// No; the text names what is out of reach.
    Denied(String),
    /// If that package may be read.
    WherePackageIsRead(&'a EntityName),
    /// If that package of the caller's is there and is no binding.
    WherePackageIsWritten(&'a EntityName),
}

/// Judges by the path. `owns`: the caller's namespace is the resource's.
pub fn judge<'a>(owns: bool, right: Right, resource: &Resource<'a>) -> Verdict<'a> {
    let Resource { namespace, package, name } = *resource;
    match (package, name, right) {
        (Some(package), None, _) | (Some(package), Some(_), Right::Read | Right::Activate) => {
            Verdict::WherePackageIsRead(package)
        }
        (Some(package), Some(_), Right::Put | Right::Delete) if owns => {
            Verdict::WherePackageIsWritten(package)
        }
        (Some(package), Some(name), _) => Verdict::Denied(format!("{namespace}/{package}/{name}")),
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
        for right in common::entity::identity::ALL_RIGHTS {
            assert_eq!(judged(true, right, false, Some("a")), Verdict::Allowed);
            assert_eq!(judged(false, right, false, Some("a")), denied("ns/a"));
        }
        assert_eq!(judged(true, Right::Read, false, None), Verdict::Allowed);
        assert_eq!(judged(false, Right::Read, false, None), denied("ns"));
        for right in [Right::Read, Right::Activate] {
            for owns in [true, false] {
                assert_eq!(judged(owns, right, true, Some("a")), Verdict::WherePackageIsRead(&pkg));
            }
        }
        for right in [Right::Put, Right::Delete] {
            assert_eq!(judged(true, right, true, Some("a")), Verdict::WherePackageIsWritten(&pkg));
            assert_eq!(judged(false, right, true, Some("a")), denied("ns/p/a"));
        }
        assert_eq!(judged(false, Right::Read, true, None), Verdict::WherePackageIsRead(&pkg));
    }
}
