//! `/api/v1/namespaces/{ns}/triggers`: list, read, write and delete. Who fires one is in `fire`.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Triggers.scala`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use common::clock::Millis;
use common::entity::identity::Right;
use common::entity::name::{EntityName, EntityPath};
use common::entity::parameters::Parameters;
use common::entity::trigger::{Link, Trigger};
use common::entity::version::SemVer;
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::parameter_size;
use super::path::{Place, check_collection, entitled};
use super::query::Query;
use super::{answer, body};
use crate::entities::actions::Overwrite;
use crate::entities::draft::Draft;
use crate::entities::triggers::TriggerPut;

/// The collection's name, in answers and texts.
const COLLECTION: &str = "triggers";

type Data = web::Data<App>;

/// `GET …/triggers`
pub async fn list(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let namespace = Place::of(&request, &caller)?.namespace;
    check_collection(&app, &caller, &namespace).await?;
    let page = Query::of(&request)?.page(COLLECTION, &app.config.query_limit)?;
    let path = EntityPath::of(&namespace);
    if page.count {
        let total = app.triggers.count(path).await?;
        return Ok(answer::json(&json!({ COLLECTION: page.counted(total) })));
    }
    let triggers = app.triggers.list(path, page.skip, page.limit).await?;
    Ok(answer::json(&triggers.iter().map(TriggerSummary::from).collect::<Vec<_>>()))
}

/// `GET …/triggers/{name}`
pub async fn get(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Read).await?;
    Ok(show(&app.triggers.get(&fqn).await?))
}

/// `PUT …/triggers/{name}`
pub async fn put(
    app: Data,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Put).await?;
    let body = body::read(request.headers(), &mut payload.into_inner(), app.body_timeout()).await?;
    body::require_json(request.headers(), &body)?;
    let draft = Draft::read(&body)?;
    draft.check_sizes(parameter_size(&app.config, &caller.identity.limits))?;
    let overwrite = Overwrite::of(Query::of(&request)?.flag("overwrite", false)?);
    let put = TriggerPut::bind(draft)?;
    Ok(show(&app.triggers.put(&fqn, put, overwrite).await?))
}

/// `DELETE …/triggers/{name}`
pub async fn delete(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Delete).await?;
    Ok(show(&app.triggers.delete(&fqn).await?))
}

fn show(trigger: &Trigger) -> HttpResponse {
    answer::json(&TriggerView::from(trigger))
}

/// A trigger as GET, PUT and DELETE answer it.
#[derive(Serialize)]
struct TriggerView<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    parameters: &'a Parameters,
    limits: NoLimits,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<&'a BTreeMap<String, Link>>,
    updated: Millis,
}

/// A trigger has none, and says so.
#[derive(Serialize)]
struct NoLimits {}

impl<'a> From<&'a Trigger> for TriggerView<'a> {
    fn from(trigger: &'a Trigger) -> Self {
        Self {
            namespace: &trigger.namespace,
            name: &trigger.name,
            parameters: &trigger.parameters,
            limits: NoLimits {},
            version: trigger.version,
            publish: trigger.publish,
            annotations: &trigger.annotations,
            rules: trigger.rules.as_ref(),
            updated: trigger.updated,
        }
    }
}

/// A trigger as a list shows it.
#[derive(Serialize)]
struct TriggerSummary<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    updated: Millis,
}

impl<'a> From<&'a Trigger> for TriggerSummary<'a> {
    fn from(trigger: &'a Trigger) -> Self {
        Self {
            namespace: &trigger.namespace,
            name: &trigger.name,
            version: trigger.version,
            publish: trigger.publish,
            annotations: &trigger.annotations,
            updated: trigger.updated,
        }
    }
}
