//! `/api/v1/namespaces/{ns}/activations`: records, their results and logs.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Activations.scala`.

use actix_web::{HttpRequest, HttpResponse, web};
use common::clock::Millis;
use common::entity::activation::{Activation, ActivationSummary, ActivationView, ResponseView};
use common::entity::id::ActivationId;
use common::entity::identity::Right;
use common::entity::name::EntityName;
use common::store::ActivationQuery;
use serde_json::json;

use super::answer;
use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::path::{Place, check_collection};
use super::query::Query;
use crate::entitlement::rights::Resource;

/// The collection's name, in answers and texts.
const COLLECTION: &str = "activations";

type Data = web::Data<App>;

/// `GET …/activations`
pub async fn list(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let namespace = Place::of(&request, &caller)?.namespace;
    check_collection(&app, &caller, &namespace).await?;
    let query = Query::of(&request)?;
    let page = query.page(COLLECTION, &app.config.query_limit)?;
    let docs = query.flag("docs", false)?;
    let name = filter_name(&query)?;
    let (since, upto) = (instant(&query, "since")?, instant(&query, "upto")?);
    let wanted = ActivationQuery { namespace, name, since, upto, skip: page.skip, limit: page.limit };
    match (page.count, docs) {
        (true, true) => Err(ApiError::DocsWithCount),
        (true, false) => {
            let total = app.activations.count(&wanted).await?;
            Ok(answer::json(&json!({ COLLECTION: page.counted(total) })))
        }
        (false, true) => {
            let records = app.activations.records(&wanted).await?;
            Ok(answer::json(&records.iter().map(ActivationView::from).collect::<Vec<_>>()))
        }
        (false, false) => {
            let heads = app.activations.heads(&wanted).await?;
            let items = heads.iter().map(|(head, status)| ActivationSummary::new(head, *status));
            Ok(answer::json(&items.collect::<Vec<_>>()))
        }
    }
}

/// `GET …/activations/{id}`
pub async fn get(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let record = record(&app, &caller, &request).await?;
    Ok(answer::json(&ActivationView::from(&record)))
}

/// `GET …/activations/{id}/result`
pub async fn result(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let record = record(&app, &caller, &request).await?;
    Ok(answer::json(&ResponseView::from(&record.response)))
}

/// `GET …/activations/{id}/logs`
pub async fn logs(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let record = record(&app, &caller, &request).await?;
    Ok(answer::json(&json!({ "logs": record.logs })))
}

async fn record(app: &App, caller: &Caller, request: &HttpRequest) -> Result<Activation, ApiError> {
    let place = Place::of(request, caller)?;
    let id = ActivationId::parse(place.first())?;
    let resource = Resource { namespace: &place.namespace, package: None, name: Some(place.first()) };
    app.entitlement.check(&caller.identity, Right::Read, &resource).await?;
    app.activations.get(&place.namespace, id).await?.ok_or(ApiError::NotFound)
}

/// `name` or `package/name`; empty is none.
fn filter_name(query: &Query) -> Result<Option<String>, ApiError> {
    let Some(text) = query.get("name").filter(|text| !text.is_empty()) else { return Ok(None) };
    let names: Result<Vec<EntityName>, _> = text.split('/').map(EntityName::parse).collect();
    match names {
        Ok(names) if names.len() <= 2 => Ok(Some(text.to_owned())),
        _ => Err(ApiError::Query {
            name: "name",
            reason: format!("Parameter may be a 'simple' name or 'package-name/simple' name: {text}"),
        }),
    }
}

/// Milliseconds since 1970; before that there is nothing.
fn instant(query: &Query, name: &'static str) -> Result<Option<Millis>, ApiError> {
    let Some(text) = query.get(name) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(millis) => Ok(Some(Millis(u64::try_from(millis).unwrap_or(0)))),
        Err(_) => Err(ApiError::Query {
            name,
            reason: format!("Parameter is not a valid value for epoch seconds: {text}"),
        }),
    }
}
