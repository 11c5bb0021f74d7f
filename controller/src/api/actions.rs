//! `/api/v1/namespaces/{ns}/actions`: list, read, write and delete.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala`.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use common::clock::Millis;
use common::config::Config;
use common::entity::action::Action;
use common::entity::exec::Exec;
use common::entity::identity::Right;
use common::entity::limits::{ActionLimits, UserLimits};
use common::entity::name::{EntityName, EntityPath, Fqn};
use common::entity::package::Binding;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::manifest::Manifest;
use common::store::StoreError;
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::parameter_size;
use super::path::{Place, check_action, check_collection};
use super::query::{Page, Query};
use super::{answer, body};
use crate::entities::action_put::{ActionPut, Draft};
use crate::entities::actions::{Coded, Overwrite};
use crate::entities::packages::Whereabouts;
use crate::entitlement::rights::Resource;

/// The collection's name, in answers and texts.
const COLLECTION: &str = "actions";

/// Larger bodies are taken apart beside the threads that serve.
const LARGE_BODY: usize = 256 * 1024;

type Data = web::Data<App>;

/// `GET …/actions`
pub async fn list(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let namespace = Place::of(&request, &caller)?.namespace;
    check_collection(&app, &caller, &namespace).await?;
    let page = Query::of(&request)?.page(COLLECTION, &app.config.query_limit)?;
    show_list(&app, EntityPath::of(&namespace), page).await
}

/// `GET …/actions/{package}/`: of a binding, what is in the package that it is bound to.
pub async fn list_package(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let place = Place::of(&request, &caller)?;
    let package = EntityName::parse(place.first())?;
    let resource = Resource { namespace: &place.namespace, package: Some(&package), name: None };
    app.entitlement.check(&caller.identity, Right::Read, &resource).await?;
    let package = app.packages.get(&Fqn::new(EntityPath::of(&place.namespace), package)).await?;
    let page = Query::of(&request)?.page(COLLECTION, &app.config.query_limit)?;
    let path = package.binding.as_ref().map_or_else(|| package.path(), Binding::path);
    show_list(&app, path, page).await
}

async fn show_list(app: &App, path: EntityPath, page: Page) -> Result<HttpResponse, ApiError> {
    if page.count {
        let total = app.actions.count(path).await?;
        return Ok(answer::json(&json!({ COLLECTION: page.counted(total) })));
    }
    let actions = app.actions.list(path, page.skip, page.limit).await?;
    Ok(answer::json(&actions.iter().map(ActionSummary::from).collect::<Vec<_>>()))
}

/// `GET …/actions/[{package}/]{name}`: with the parameters of its package.
pub async fn get(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Read).await?;
    let with_code = Query::of(&request)?.flag("code", true)?;
    let execute_only = app.config.shared_packages_execute_only;
    if execute_only && *caller.namespace() != fqn.namespace() {
        let why = format!("for '{}' since it's an action in a shared package", fqn.path);
        return Err(ApiError::ExecuteOnly(why));
    }
    let Whereabouts { fqn: real, inherited } = app.packages.locate(&fqn).await?;
    if execute_only && real.namespace() != fqn.namespace() {
        let id = fqn.id();
        let why = format!("for '{id}'. Resource does not exist or is an action in a shared package binding.");
        return Err(ApiError::ExecuteOnly(why));
    }
    let mut coded = if with_code {
        app.actions.get_coded(&real).await?
    } else {
        Coded { action: app.actions.get(&real).await?, code: None }
    };
    coded.action.parameters = inherited.merged(&coded.action.parameters);
    // As upstream, only without the code.
    show(&coded, real.binding.as_ref().filter(|_| !with_code))
}

/// `PUT …/actions/[{package}/]{name}`
pub async fn put(
    app: Data,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Put).await?;
    let body = body::read(request.headers(), &mut payload.into_inner(), app.body_timeout()).await?;
    body::require_json(request.headers(), &body)?;
    let overwrite = Query::of(&request).and_then(|query| query.flag("overwrite", false));
    let own = &caller.identity.limits;
    let (mut put, overwrite) = bind(&app, own, body, overwrite).await?;
    if let Some(exec) = &mut put.exec {
        exec.settle(caller.namespace());
    }
    // More than a sequence may have are refused in any case.
    let components = put.components().iter().take(app.config.limits.sequence_length as usize);
    app.entitlement.check_all(&caller.identity, Right::Read, components).await?;
    let coded = app.actions.put(&fqn, put, overwrite, own).await?;
    if app.config.feature_flags.require_response_payload {
        show(&coded, None)
    } else {
        Ok(answer::text("OK"))
    }
}

/// `DELETE …/actions/[{package}/]{name}`
pub async fn delete(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Delete).await?;
    let coded = app.actions.delete(&fqn).await?;
    if app.config.feature_flags.require_response_payload {
        show(&coded, None)
    } else {
        Ok(HttpResponse::NoContent().finish())
    }
}

/// The action that a request names, if the caller has that right to it.
async fn entitled(app: &App, caller: &Caller, request: &HttpRequest, right: Right) -> Result<Fqn, ApiError> {
    let fqn = Place::of(request, caller)?.action()?;
    check_action(app, caller, right, &fqn).await?;
    Ok(fqn)
}

/// Takes a body apart and measures it. The query's fault is told between those of the body.
async fn bind(
    app: &Data,
    own: &UserLimits,
    body: Bytes,
    overwrite: Result<bool, ApiError>,
) -> Result<(ActionPut, Overwrite), ApiError> {
    if body.len() <= LARGE_BODY {
        return bind_here(&app.config, &app.manifest, own, &body, overwrite);
    }
    let (config, manifest, own) = (Arc::clone(&app.config), Arc::clone(&app.manifest), own.clone());
    let bound = web::block(move || bind_here(&config, &manifest, &own, &body, overwrite)).await;
    bound.map_err(|error| ApiError::Internal(error.into()))?
}

fn bind_here(
    config: &Config,
    manifest: &Manifest,
    own: &UserLimits,
    body: &[u8],
    overwrite: Result<bool, ApiError>,
) -> Result<(ActionPut, Overwrite), ApiError> {
    let draft = Draft::read(body, manifest)?;
    draft.check_sizes(config.exec_size_limit.0, parameter_size(config, own))?;
    let overwrite = Overwrite::of(overwrite?);
    Ok((draft.bind()?, overwrite))
}

fn show(coded: &Coded, binding: Option<&EntityPath>) -> Result<HttpResponse, ApiError> {
    let Coded { action, code } = coded;
    let code = code.as_deref().map(std::str::from_utf8).transpose().map_err(|error| {
        ApiError::from(StoreError::Corrupt { id: action.fqn().id(), source: error.into() })
    })?;
    Ok(answer::json(&ActionView::new(action, code, binding)))
}

/// An action as GET, PUT and DELETE answer it.
#[derive(Serialize)]
struct ActionView<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    exec: ExecView<'a>,
    parameters: &'a Parameters,
    annotations: &'a Parameters,
    limits: &'a ActionLimits,
    version: SemVer,
    publish: bool,
    updated: Millis,
    /// By which it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<&'a EntityPath>,
}

impl<'a> ActionView<'a> {
    fn new(action: &'a Action, code: Option<&'a str>, binding: Option<&'a EntityPath>) -> Self {
        Self {
            namespace: &action.namespace,
            name: &action.name,
            exec: ExecView::new(&action.exec, code),
            parameters: &action.parameters,
            annotations: &action.annotations,
            limits: &action.limits,
            version: action.version,
            publish: action.publish,
            updated: action.updated,
            binding,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum ExecView<'a> {
    Sequence {
        kind: &'a str,
        components: Vec<String>,
    },
    Code {
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        binary: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        main: Option<&'a str>,
    },
}

impl<'a> ExecView<'a> {
    fn new(exec: &'a Exec, code: Option<&'a str>) -> Self {
        let image = match exec {
            Exec::Sequence { components, .. } => {
                let components = components.iter().map(|component| format!("/{}", component.id())).collect();
                return Self::Sequence { kind: exec.kind(), components };
            }
            Exec::Blackbox { image, .. } => Some(image.as_str()),
            Exec::Code { .. } => None,
        };
        Self::Code { kind: exec.kind(), image, code, binary: exec.is_binary(), main: exec.main() }
    }
}

/// An action as a list shows it.
#[derive(Serialize)]
struct ActionSummary<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    limits: &'a ActionLimits,
    exec: BinaryView,
    updated: Millis,
}

#[derive(Serialize)]
struct BinaryView {
    binary: bool,
}

impl<'a> From<&'a Action> for ActionSummary<'a> {
    fn from(action: &'a Action) -> Self {
        Self {
            namespace: &action.namespace,
            name: &action.name,
            version: action.version,
            publish: action.publish,
            annotations: &action.annotations,
            limits: &action.limits,
            exec: BinaryView { binary: action.exec.is_binary() },
            updated: action.updated,
        }
    }
}
