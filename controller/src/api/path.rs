//! Names in a path: split first, decoded then, judged last.
//!
//! `/api/v1/namespaces/{ns}/{collection}[/{name}[/{name}]]`. `_` is the caller's namespace. A slash that
//! is written as `%2F` is part of its segment, and so makes it illegal.

use actix_web::HttpRequest;
use common::entity::identity::Right;
use common::entity::name::{EntityName, EntityPath, Fqn, NameError};

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use crate::entitlement::rights::Resource;

/// Segments before the namespace: an empty one, `api`, `v1`, `namespaces`.
const BEFORE: usize = 4;

/// The namespace of a path, and what follows its collection.
#[derive(Debug)]
pub struct Place {
    /// Whose.
    pub namespace: EntityName,
    names: Vec<String>,
}

impl Place {
    /// The place of a request below `/api/v1/namespaces/`. The namespace is judged, the rest is not yet.
    pub fn of(request: &HttpRequest, caller: &Caller) -> Result<Self, ApiError> {
        Self::parse(request.uri().path(), caller.namespace())
    }

    fn parse(path: &str, own: &EntityName) -> Result<Self, ApiError> {
        let mut segments = path.split('/').skip(BEFORE);
        let given = segments.next().and_then(decode).ok_or(ApiError::IllegalNamespace)?;
        let namespace = match EntityName::parse(&given) {
            Ok(name) if name.as_str() == "_" => own.clone(),
            Ok(name) => name,
            Err(NameError::TooLong(length)) => return Err(ApiError::NamespaceTooLong(length)),
            Err(_) => return Err(ApiError::IllegalNamespace),
        };
        // After the collection. What cannot be decoded is no name either.
        let names = segments.skip(1).map(|segment| decode(segment).unwrap_or_default()).collect();
        Ok(Self { namespace, names })
    }

    /// The action that it names, in a package or not.
    pub fn action(&self) -> Result<Fqn, ApiError> {
        let names = self.names.iter().map(|name| EntityName::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let path = EntityPath::of(&self.namespace);
        match names.as_slice() {
            [name] => Ok(Fqn::new(path, name.clone())),
            [package, name] => Ok(Fqn::new(path.join(package), name.clone())),
            _ => Err(ApiError::Unrouted),
        }
    }

    /// What it names that is in no package.
    pub fn simple(&self) -> Result<Fqn, ApiError> {
        match self.names.as_slice() {
            [name] => Ok(Fqn::new(EntityPath::of(&self.namespace), EntityName::parse(name)?)),
            _ => Err(ApiError::Unrouted),
        }
    }

    /// The first name, whatever it is a name of.
    pub fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Whether the caller has a right to an action, or to a trigger or rule.
pub async fn check_action(app: &App, caller: &Caller, right: Right, fqn: &Fqn) -> Result<(), ApiError> {
    let (namespace, package) = (fqn.namespace(), fqn.path.package());
    let resource =
        Resource { namespace: &namespace, package: package.as_ref(), name: Some(fqn.name.as_str()) };
    Ok(app.entitlement.check(&caller.identity, right, &resource).await?)
}

/// The trigger or rule that a request names, if the caller has that right to it.
pub async fn entitled(
    app: &App,
    caller: &Caller,
    request: &HttpRequest,
    right: Right,
) -> Result<Fqn, ApiError> {
    let fqn = Place::of(request, caller)?.simple()?;
    check_action(app, caller, right, &fqn).await?;
    Ok(fqn)
}

/// Whether the caller may see a collection of a namespace.
pub async fn check_collection(app: &App, caller: &Caller, namespace: &EntityName) -> Result<(), ApiError> {
    let resource = Resource { namespace, package: None, name: None };
    Ok(app.entitlement.check(&caller.identity, Right::Read, &resource).await?)
}

/// Percent-decodes one segment; `None` if it is no UTF-8 or has a stray `%`.
pub fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = tail else { return None };
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rest: &str) -> Result<Place, ApiError> {
        Place::parse(&format!("/api/v1/namespaces/{rest}"), &EntityName::parse("guest").unwrap())
    }

    #[test]
    fn actions_are_named_with_and_without_a_package() {
        for (path, id) in [
            ("_/actions/a%20b", "guest/a b"),
            ("_/actions/p/a", "guest/p/a"),
            ("other/actions/a@b.c%26d", "other/a@b.c&d"),
            ("%5F/actions/a", "guest/a"),
        ] {
            assert_eq!(place(path).unwrap().action().unwrap().id(), id);
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        let told = |path: &str| place(path).and_then(|place| place.action()).unwrap_err().to_string();
        let illegal = "The name of the entity contains illegal characters.";
        for name in ["%24hola", "dora%3F", "%20", "a%2Fb", "a%2", "%FF", "x%23x", "a+b"] {
            assert_eq!(told(&format!("_/actions/{name}")), illegal, "{name}");
        }
        assert_eq!(told("a%3Fb/actions/a"), "The namespace contains illegal characters.");
        let long = "a".repeat(257);
        assert_eq!(told(&format!("{long}/actions/a")), "Namespace longer than allowed: 257 > 256.");
        assert_eq!(told(&format!("_/actions/{long}")), "Name segement longer than allowed: 257 > 256.");
    }
}
