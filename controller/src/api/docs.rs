//! The API's description: Swagger 2.0, one file for what is under `/api/v1`, one for the rest.
//!
//! The page that shows it comes with whoever serves one; `/docs` says where upstream has it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;

const API: &str = include_str!("docs/apiv1.json");
const ROOT: &str = include_str!("docs/root.json");

/// `GET /api/v1/api-docs`
pub async fn api() -> HttpResponse {
    description(API)
}

/// `GET /api-docs`
pub async fn root() -> HttpResponse {
    description(ROOT)
}

/// `GET /api/v1/docs`
pub async fn show_api() -> HttpResponse {
    moved("docs/index.html?url=/api/v1/api-docs")
}

/// `GET /docs`
pub async fn show_root() -> HttpResponse {
    moved("docs/index.html?url=/api-docs")
}

fn description(text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text)
}

fn moved(place: &'static str) -> HttpResponse {
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT).insert_header((LOCATION, place)).finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const VERBS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

    /// Nothing that a client could use: they say no, each in upstream's words.
    const REFUSED: [&str; 2] = [
        "get /api/v1/namespaces/{namespace}/limits/{inner}",
        "post /api/v1/namespaces/{namespace}/packages/{name}",
    ];

    /// Verb and path of every route, as the route table has them.
    fn routed() -> BTreeSet<String> {
        let table = include_str!("../api.rs");
        let (_, table) = table.split_once("\nfn routes(").unwrap();
        let (table, _) = table.split_once(".default_service(web::to(unrouted));\n}").unwrap();
        let mut found = BTreeSet::new();
        for service in table.split(".service(").skip(1) {
            let all = service.contains(".to(");
            let verbs = VERBS.into_iter().filter(|verb| all || service.contains(&format!(".{verb}(")));
            let verbs: Vec<_> = verbs.collect();
            assert!(!verbs.is_empty(), "no verb in {service}");
            let paths = service.split('"').skip(1).step_by(2).filter(|literal| literal.starts_with('/'));
            for path in paths {
                found.extend(verbs.iter().map(|verb| format!("{verb} {}", plain(path))));
            }
        }
        found
    }

    /// A path without the patterns of its parts, and without a slash at its end.
    fn plain(path: &str) -> String {
        let mut plain = String::new();
        for (at, part) in path.split('{').enumerate() {
            if at == 0 {
                plain.push_str(part);
                continue;
            }
            let (name, rest) = part.split_once('}').unwrap();
            let name = name.split(':').next().unwrap_or(name);
            plain.push_str(&format!("{{{}}}{rest}", if name == "ns" { "namespace" } else { name }));
        }
        let trimmed = plain.trim_end_matches('/');
        if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
    }

    fn descriptions() -> [Value; 2] {
        [API, ROOT].map(|text| serde_json::from_str(text).unwrap())
    }

    /// Every operation of a description, with verb and whole path.
    fn operations(description: &Value) -> Vec<(String, &Value)> {
        let base = description["basePath"].as_str().unwrap().trim_end_matches('/');
        let paths = description["paths"].as_object().unwrap();
        let all = paths.iter().flat_map(|(path, verbs)| {
            let verbs = verbs.as_object().unwrap().iter();
            verbs.map(move |(verb, operation)| {
                (format!("{verb} {}", plain(&format!("{base}{path}"))), operation)
            })
        });
        all.collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let descriptions = descriptions();
        let described: BTreeSet<String> =
            descriptions.iter().flat_map(operations).map(|(route, _)| route).collect();
        let mut routed = routed();
        assert!(REFUSED.iter().all(|route| routed.remove(*route)));
        let missing: Vec<_> = routed.difference(&described).collect();
        let invented: Vec<_> = described.difference(&routed).collect();
        assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}\ninvented: {invented:?}");
    }

    #[test]
    fn the_api_is_described_apart_from_the_rest() {
        for (description, of_api) in descriptions().iter().zip([true, false]) {
            for (route, _) in operations(description) {
                let (_, path) = route.split_once(' ').unwrap();
                assert_eq!(super::super::is_api(path), of_api, "{route}");
            }
        }
    }

    #[test]
    fn operations_have_names_of_their_own_and_all_their_parameters() {
        for description in &descriptions() {
            let mut names = BTreeSet::new();
            for (route, operation) in operations(description) {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} is there twice");
                let parameters = operation["parameters"].as_array().unwrap().iter();
                let parameters = parameters.map(|parameter| match parameter["$ref"].as_str() {
                    Some(place) => description.pointer(&place[1..]).unwrap(),
                    None => parameter,
                });
                let in_path = parameters.filter(|parameter| parameter["in"] == "path");
                let declared: BTreeSet<_> =
                    in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
                let used: BTreeSet<_> =
                    route.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
                assert_eq!(declared, used, "{route}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, whole: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(place) = members.get("$ref").and_then(Value::as_str) {
                        assert!(whole.pointer(&place[1..]).is_some(), "{place}");
                    }
                    members.values().for_each(|value| check(value, whole));
                }
                Value::Array(elements) => elements.iter().for_each(|value| check(value, whole)),
                _ => {}
            }
        }
        for description in &descriptions() {
            check(description, description);
        }
    }
}
