//! `/api/v1/namespaces/{ns}/rules`: list, read, write, delete, and make active or inactive.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Rules.scala`.

use actix_web::{HttpRequest, HttpResponse, web};
use common::clock::Millis;
use common::entity::identity::Right;
use common::entity::name::{EntityName, EntityPath, Fqn};
use common::entity::parameters::Parameters;
use common::entity::rule::Rule;
use common::entity::trigger::RuleStatus;
use common::entity::version::SemVer;
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::{parameter_size, payload_size};
use super::path::{Place, check_collection, entitled};
use super::query::Query;
use super::{answer, body};
use crate::entities::actions::Overwrite;
use crate::entities::draft::Draft;
use crate::entities::rule_put::{self, RulePut};

/// The collection's name, in answers and texts.
const COLLECTION: &str = "rules";

type Data = web::Data<App>;

/// `GET …/rules`
pub async fn list(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let namespace = Place::of(&request, &caller)?.namespace;
    check_collection(&app, &caller, &namespace).await?;
    let page = Query::of(&request)?.page(COLLECTION, &app.config.query_limit)?;
    let path = EntityPath::of(&namespace);
    if page.count {
        let total = app.rules.count(path).await?;
        return Ok(answer::json(&json!({ COLLECTION: page.counted(total) })));
    }
    let rules = app.rules.list(path, page.skip, page.limit).await?;
    // As upstream: to know whether a rule is active means to read its trigger.
    Ok(answer::json(&rules.iter().map(|rule| RuleView::new(rule, None)).collect::<Vec<_>>()))
}

/// `GET …/rules/{name}`
pub async fn get(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Read).await?;
    let (rule, status) = app.rules.get(&fqn).await?;
    Ok(show(&rule, status))
}

/// `PUT …/rules/{name}`
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
    let put = RulePut::bind(draft, &fqn.namespace())?;
    let named = put.trigger.iter().chain(&put.action);
    app.entitlement.check_all(&caller.identity, Right::Read, named).await?;
    let (rule, status) = app.rules.put(&fqn, &put, overwrite).await?;
    Ok(show(&rule, status))
}

/// `POST …/rules/{name}`
pub async fn set_status(
    app: Data,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Activate).await?;
    let allowed = payload_size(&app.config, &caller.identity.limits).bytes();
    let body =
        body::read_at_most(request.headers(), &mut payload.into_inner(), allowed, app.body_timeout()).await?;
    body::require_json(request.headers(), &body)?;
    let status = rule_put::status(&body)?;
    app.rules.set_status(&fqn, status).await?;
    Ok(answer::text("OK"))
}

/// `DELETE …/rules/{name}`
pub async fn delete(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Delete).await?;
    Ok(show(&app.rules.delete(&fqn).await?, RuleStatus::Inactive))
}

fn show(rule: &Rule, status: RuleStatus) -> HttpResponse {
    answer::json(&RuleView::new(rule, Some(status)))
}

/// A rule as it is answered, in a list without its status.
#[derive(Serialize)]
struct RuleView<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RuleStatus>,
    trigger: &'a Fqn,
    action: &'a Fqn,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    updated: Millis,
}

impl<'a> RuleView<'a> {
    fn new(rule: &'a Rule, status: Option<RuleStatus>) -> Self {
        Self {
            namespace: &rule.namespace,
            name: &rule.name,
            status,
            trigger: &rule.trigger,
            action: &rule.action,
            version: rule.version,
            publish: rule.publish,
            annotations: &rule.annotations,
            updated: rule.updated,
        }
    }
}
