//! Every refusal: its sentence and its status.
//!
//! `Display` is what the caller reads, `source` what only the log reads. The body around the sentence,
//! with the id of the request, is made in `frame`; what errors of the parts behind the API are to a caller, in
//! `from`. Upstream:
//! `common/scala/src/main/scala/org/apache/openwhisk/http/ErrorResponse.scala`.

mod from;

use actix_web::ResponseError;
use actix_web::http::StatusCode;

use super::web_actions::render::Unfit;

/// Why a request has no success.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such path.
    #[error("The requested resource could not be found.")]
    Unrouted,
    /// Another verb than the path knows; with those that it knows.
    #[error("HTTP method not allowed, supported methods: {0}")]
    MethodNotAllowed(&'static str),
    /// Not the operator of this controller.
    #[error("username or password are wrong.")]
    NotTheOperator,
    /// Nobody signed in.
    #[error("The resource requires authentication, which was not supplied with the request")]
    NoCredentials,
    /// Somebody tried.
    #[error("The supplied authentication is invalid")]
    BadCredentials,
    /// A web action is not for everybody, and this caller has not what it asks for.
    #[error("Authentication is possible but has failed or not yet been provided.")]
    Unauthenticated,
    /// No such entity.
    #[error("The requested resource does not exist.")]
    NotFound,
    /// No such entity of the caller's; it is named.
    #[error("The requested resource '{0}' does not exist.")]
    NotFoundByName(String),
    /// What may be run but not read.
    #[error("GET not permitted {0}")]
    ExecuteOnly(String),
    /// Not the caller's.
    #[error("The supplied authentication is not authorized to access '{0}'.")]
    Forbidden(String),
    /// A kind that the namespace may not have.
    #[error("The supplied authentication is not authorized to access actions of kind '{0}'.")]
    KindForbidden(String),
    /// Something is to be written into a binding.
    #[error("Operation not permitted on package binding.")]
    ThroughBinding,
    /// A binding that leads back to itself.
    #[error("Package binding '{0}' contains a circular reference.")]
    CircularBinding(String),
    /// A name that no package may have.
    #[error("Package name '{0}' is reserved.")]
    ReservedPackage(String),
    /// A package that is to become a binding.
    #[error("Resource is a package and cannot be converted into a binding.")]
    Unbindable,
    /// A binding to nothing.
    #[error("Binding references a package that does not exist.")]
    NoProvider,
    /// A binding to a binding.
    #[error("Cannot bind to another package binding.")]
    ProviderIsBinding,
    /// A binding to something else.
    #[error("Cannot bind to a resource that is not a package.")]
    ProviderIsOther,
    /// A package that is to be deleted, with so many actions in it.
    #[error(
        "Package not empty (contains {0} {entities}). Set force param or delete package contents.",
        entities = if *.0 == 1 { "entity" } else { "entities" }
    )]
    PackageNotEmpty(u64),
    /// It is there already.
    #[error("resource already exists")]
    Exists,
    /// It is something else.
    #[error("Resource by this name exists but is not in this collection.")]
    OtherKind,
    /// Somebody else was faster.
    #[error("Concurrent modification to resource detected.")]
    Conflict,
    /// What is stored makes no sense.
    #[error("Resource is corrupted and cannot be read.")]
    Corrupt(#[source] anyhow::Error),
    /// The body is not what it should be.
    #[error("The request content was malformed:\n{0}")]
    Malformed(String),
    /// A parameter of the query is not what it should be.
    #[error("The query parameter '{name}' was malformed:\n{reason}")]
    Query {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A new trigger whose feed has no name that a feed could have.
    #[error("Feed name is not valid")]
    FeedName,
    /// A new rule that leaves out what it is about.
    #[error("rule requires a valid trigger and a valid action")]
    RuleIncomplete,
    /// A rule of a trigger that is not there.
    #[error("trigger {0} does not exist")]
    NoTrigger(String),
    /// A rule for an action that is not there.
    #[error("action {0} does not exist")]
    NoAction(String),
    /// A rule of something that cannot be read.
    #[error("Resource is corrupted and cannot be read.")]
    CorruptReference(#[source] anyhow::Error),
    /// A rule that is to be active, and has lost its trigger.
    #[error("Only rules with existing triggers can be activated")]
    TriggerGone,
    /// Something else in the request is wrong; the sentence stands alone.
    #[error("{0}")]
    Invalid(String),
    /// A namespace that is too long.
    #[error("Namespace longer than allowed: {0} > {max}.", max = common::entity::name::MAX_NAME_LENGTH)]
    NamespaceTooLong(usize),
    /// A namespace that is none.
    #[error("The namespace contains illegal characters.")]
    IllegalNamespace,
    /// A new action that runs nothing.
    #[error("exec undefined")]
    ExecUndefined,
    /// A kind whose time is over.
    #[error(
        "The '{0}' runtime is no longer supported. You may read and delete but not update or invoke this action."
    )]
    Deprecated(String),
    /// More containers than activations.
    #[error("Max action instance concurrency must not exceed your namespace concurrency of {0}.")]
    Instances(u64),
    /// A payload that sets what is fixed.
    #[error("Request defines parameters that are not allowed (e.g., reserved properties).")]
    Final,
    /// A list that is to be whole and counted.
    #[error("The parameter 'docs' is not permitted with 'count'.")]
    DocsWithCount,
    /// A path into limits.
    #[error("Inner entity level routes for limits are not yet implemented.")]
    InnerLimits,
    /// A body of another type.
    #[error("The request's Content-Type [{0}] is not supported. Expected:\napplication/json")]
    UnsupportedType(String),
    /// A caller who does not take JSON.
    #[error("Resource representation is only available with these types:\napplication/json")]
    NotAcceptable,
    /// A caller who does not take the one type there is.
    #[error("Resource representation is only available with these types:\n{0}")]
    OnlyAvailableAs(String),
    /// What a web action returned is no answer.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A web action failed.
    #[error("There was an error processing your request.")]
    NotProcessed,
    /// A web action takes longer than anybody waits.
    #[error("Response not yet ready.")]
    NotYetReady,
    /// A part of the request is too large.
    #[error("{part} larger than allowed: {size} > {allowed} bytes.")]
    TooLarge {
        /// Which.
        part: &'static str,
        /// What it has.
        size: u64,
        /// What it may have.
        allowed: u64,
    },
    /// The body is larger than the server takes, or an order larger than the bus takes.
    #[error("The request content is larger than the server is willing or able to process.")]
    Oversized,
    /// A path and query that are too long.
    #[error("The URI provided was too long for the server to process.")]
    UriTooLong,
    /// A head with too many fields, or with one that is too long.
    #[error(
        "The server is unwilling to process the request because either an individual header field, or all the \
         header fields collectively, are too large."
    )]
    HeadTooLarge,
    /// A body that does not come.
    #[error("The server timed out waiting for the request.")]
    TimedOut,
    /// Too often.
    #[error("Too many requests in the last minute (count: {count}, allowed: {allowed}).")]
    RateLimited {
        /// With this one.
        count: u64,
        /// The most.
        allowed: u64,
    },
    /// Too many at once.
    #[error("Too many concurrent requests in flight (count: {count}, allowed: {allowed}).")]
    TooManyInFlight {
        /// Without this one.
        count: u64,
        /// The most.
        allowed: u64,
    },
    /// Nobody can do it now.
    #[error("The server is currently unavailable (because it is overloaded or down for maintenance).")]
    Unavailable(#[source] anyhow::Error),
    /// Our fault.
    #[error("There was an internal server error.")]
    Internal(#[source] anyhow::Error),
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::Query { .. }
            | Self::Invalid(_)
            | Self::NamespaceTooLong(_)
            | Self::IllegalNamespace
            | Self::ExecUndefined
            | Self::Deprecated(_)
            | Self::Instances(_)
            | Self::Final
            | Self::DocsWithCount
            | Self::InnerLimits
            | Self::ThroughBinding
            | Self::ReservedPackage(_)
            | Self::NoProvider
            | Self::ProviderIsBinding
            | Self::Unfit(Unfit::Media(_) | Unfit::UnknownType | Unfit::OtherType)
            | Self::NotProcessed
            | Self::FeedName
            | Self::RuleIncomplete
            | Self::NoTrigger(_)
            | Self::NoAction(_)
            | Self::CorruptReference(_) => StatusCode::BAD_REQUEST,
            Self::NotYetReady => StatusCode::ACCEPTED,
            Self::NoCredentials | Self::BadCredentials | Self::Unauthenticated | Self::NotTheOperator => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden(_) | Self::KindForbidden(_) | Self::ExecuteOnly(_) => StatusCode::FORBIDDEN,
            Self::Unrouted
            | Self::NotFound
            | Self::TriggerGone
            | Self::NotFoundByName(_)
            | Self::Unfit(Unfit::NoProperty) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable | Self::OnlyAvailableAs(_) => StatusCode::NOT_ACCEPTABLE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Exists
            | Self::OtherKind
            | Self::Conflict
            | Self::Unbindable
            | Self::ProviderIsOther
            | Self::PackageNotEmpty(_) => StatusCode::CONFLICT,
            Self::TooLarge { .. } | Self::Oversized => StatusCode::PAYLOAD_TOO_LARGE,
            Self::CircularBinding(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited { .. } | Self::TooManyInFlight { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Corrupt(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use common::entity::name::NameError;
    use common::store::StoreError;

    use super::*;

    #[test]
    fn refusals_have_upstreams_sentences() {
        for (error, status, sentence) in [
            (
                ApiError::Forbidden("ns/a".into()),
                403,
                "The supplied authentication is not authorized to access 'ns/a'.",
            ),
            (
                ApiError::PackageNotEmpty(1),
                409,
                "Package not empty (contains 1 entity). Set force param or delete package contents.",
            ),
            (
                ApiError::PackageNotEmpty(2),
                409,
                "Package not empty (contains 2 entities). Set force param or delete package contents.",
            ),
            (ApiError::MethodNotAllowed("GET"), 405, "HTTP method not allowed, supported methods: GET"),
            (ApiError::NamespaceTooLong(257), 400, "Namespace longer than allowed: 257 > 256."),
            (
                ApiError::RateLimited { count: 3, allowed: 2 },
                429,
                "Too many requests in the last minute (count: 3, allowed: 2).",
            ),
            (
                ApiError::TooLarge { part: "Request", size: 9, allowed: 8 },
                413,
                "Request larger than allowed: 9 > 8 bytes.",
            ),
            (ApiError::from(NameError::TooLong(257)), 400, "Name segement longer than allowed: 257 > 256."),
            (
                ApiError::from(StoreError::Conflict("x".into())),
                409,
                "Concurrent modification to resource detected.",
            ),
        ] {
            assert_eq!((error.status_code().as_u16(), error.to_string().as_str()), (status, sentence));
        }
    }
}
