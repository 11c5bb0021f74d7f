//! Query parameters: what is unknown is ignored, what is known and wrong is 400
//! (`core/controller/src/main/scala/org/apache/openwhisk/core/controller/RestAPIs.scala`, `.../core/entity/{ListLimit,ListSkip}`).

use std::time::Duration;

use actix_web::{HttpRequest, web};
use common::config::limits::QueryLimit;

use super::error::ApiError;

/// The query of one request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many to pass over.
    pub skip: u64,
    /// How many at most.
    pub limit: u64,
    /// Only how many there are.
    pub count: bool,
}

impl Page {
    /// The number that is told of so many.
    pub fn counted(&self, total: u64) -> u64 {
        total.saturating_sub(self.skip)
    }
}

impl Query {
    /// The query of a request.
    pub fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        Self::parse(request.query_string())
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        match web::Query::<Vec<(String, String)>>::from_query(text) {
            Ok(query) => Ok(Self(query.into_inner())),
            Err(_) => Err(ApiError::Malformed("The request's query string is invalid.".to_owned())),
        }
    }

    /// A parameter; of several of that name the first counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A yes or no; absent or empty is the default.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(ApiError::Query { name, reason: format!("'{text}' is not a valid Boolean value") }),
        }
    }

    /// Which part of a list of that collection.
    pub fn page(&self, collection: &str, limits: &QueryLimit) -> Result<Page, ApiError> {
        let number = |name: &'static str| match self.get(name) {
            None => Ok(None),
            Some(text) => text.parse::<i32>().map(Some).map_err(|_| ApiError::Query {
                name,
                reason: format!("The value '{text}' is not an integer for {collection}."),
            }),
        };
        let skip = number("skip")?.unwrap_or(0);
        let skip = u64::try_from(skip).map_err(|_| ApiError::Query {
            name: "skip",
            reason: format!("The value '{skip}' is not greater than or equal to 0 for {collection}."),
        })?;
        let max = limits.max_list_limit;
        let limit = match number("limit")? {
            None => limits.default_list_limit,
            Some(limit) => match u64::try_from(limit) {
                // As upstream: as many as there may be.
                Ok(0) => max,
                Ok(limit) if limit <= max => limit,
                _ => {
                    let reason =
                        format!("The value '{limit}' is not in the range of 0 to {max} for {collection}.");
                    return Err(ApiError::Query { name: "limit", reason });
                }
            },
        };
        Ok(Page { skip, limit, count: self.flag("count", false)? })
    }

    /// How long to wait for a result.
    pub fn wait(&self, longest: Duration) -> Result<Duration, ApiError> {
        let Some(text) = self.get("timeout") else { return Ok(longest) };
        match text.parse::<u64>().ok().filter(|millis| *millis > 0).map(Duration::from_millis) {
            Some(wait) if wait <= longest => Ok(wait),
            _ => Err(ApiError::Query {
                name: "timeout",
                reason: format!("Timeout must be number of milliseconds up to {}.", longest.as_millis()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn flags_are_read_in_every_form() {
        for yes in ["b=1", "b=TRUE", "b=yes", "b=On"] {
            assert!(query(yes).flag("b", false).unwrap(), "{yes}");
        }
        for no in ["b=0", "b=False", "b=no", "b=off"] {
            assert!(!query(no).flag("b", true).unwrap(), "{no}");
        }
        for default in ["", "b=", "b", "c=1", "&&"] {
            assert!(query(default).flag("b", true).unwrap(), "{default}");
        }
        let told = query("b=maybe").flag("b", false).unwrap_err().to_string();
        assert_eq!(told, "The query parameter 'b' was malformed:\n'maybe' is not a valid Boolean value");
    }

    #[test]
    fn pages_have_bounds() {
        let page = |text: &str| query(text).page("actions", &QueryLimit::default());
        assert_eq!(page("").unwrap(), Page { skip: 0, limit: 30, count: false });
        assert_eq!(page("limit=0&skip=7&count=true").unwrap(), Page { skip: 7, limit: 200, count: true });
        assert_eq!(page("limit=200").unwrap().limit, 200);
        for (text, told) in [
            (
                "limit=201",
                "'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions.",
            ),
            (
                "limit=-1",
                "'limit' was malformed:\nThe value '-1' is not in the range of 0 to 200 for actions.",
            ),
            ("limit=xyz", "'limit' was malformed:\nThe value 'xyz' is not an integer for actions."),
            (
                "skip=-1",
                "'skip' was malformed:\nThe value '-1' is not greater than or equal to 0 for actions.",
            ),
            ("skip=xyz", "'skip' was malformed:\nThe value 'xyz' is not an integer for actions."),
        ] {
            assert_eq!(page(text).unwrap_err().to_string(), format!("The query parameter {told}"));
        }
        assert_eq!(page("skip=3").unwrap().counted(2), 0);
    }

    #[test]
    fn waits_have_bounds() {
        let wait = |text: &str| query(text).wait(Duration::from_secs(60));
        assert_eq!(wait("").unwrap(), Duration::from_secs(60));
        assert_eq!(wait("timeout=500").unwrap(), Duration::from_millis(500));
        for bad in ["timeout=0", "timeout=60001", "timeout=xyz", "timeout=-1", "timeout="] {
            let told = wait(bad).unwrap_err().to_string();
            assert!(told.ends_with("Timeout must be number of milliseconds up to 60000."), "{bad}: {told}");
        }
    }
}
