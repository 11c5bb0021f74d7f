//! `/api/v1/namespaces/{ns}/packages`: list, read, write and delete.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Packages.scala`.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use common::clock::Millis;
use common::entity::action::Action;
use common::entity::identity::Right;
use common::entity::name::{EntityName, EntityPath, Fqn};
use common::entity::package::{Binding, Package};
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::store::{EntityKind, EntityQuery};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::parameter_size;
use super::path::Place;
use super::query::Query;
use super::{answer, body};
use crate::entities::actions::Overwrite;
use crate::entities::draft::Draft;
use crate::entities::package_put::PackagePut;
use crate::entities::packages::{Contents, Filled, PackageError, Packages};
use crate::entitlement::Denial;
use crate::entitlement::rights::Resource;

/// The collection's name, in answers and texts.
const COLLECTION: &str = "packages";

/// An annotation that makes an action a feed, whatever its value.
const FEED: &str = "feed";

type Data = web::Data<App>;

/// `GET …/packages`: anybody may; strangers are shown what is public.
pub async fn list(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let namespace = Place::of(&request, &caller)?.namespace;
    let page = Query::of(&request)?.page(COLLECTION, &app.config.query_limit)?;
    let query = EntityQuery {
        kind: EntityKind::Package,
        path: EntityPath::of(&namespace),
        only_public: *caller.namespace() != namespace,
        skip: page.skip,
        limit: page.limit,
    };
    if page.count {
        let total = app.packages.count(&query).await?;
        return Ok(answer::json(&json!({ COLLECTION: page.counted(total) })));
    }
    let packages = app.packages.list(&query).await?;
    Ok(answer::json(&packages.iter().map(PackageSummary::from).collect::<Vec<_>>()))
}

/// `GET …/packages/{name}`
pub async fn get(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = Place::of(&request, &caller)?.action()?;
    let namespace = fqn.namespace();
    match check_read(&app, &caller, &namespace, &fqn.name).await {
        Err(Denial::NoPackage) => return Err(ApiError::NotFoundByName(fqn.id())),
        checked => checked?,
    }
    let execute_only = app.config.shared_packages_execute_only;
    if execute_only && *caller.namespace() != namespace {
        return Err(ApiError::ExecuteOnly(format!("for '{}' since it's a shared package", fqn.id())));
    }
    let package = app.packages.get(&fqn).await?;
    if execute_only && package.binding.as_ref().is_some_and(|binding| binding.namespace != namespace) {
        return Err(ApiError::ExecuteOnly(format!("since {} is a binding of a shared package", fqn.name)));
    }
    Ok(answer::json(&FilledView::from(&app.packages.filled(package).await?)))
}

/// `PUT …/packages/{name}`
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
    let (put, overwrite) = bind(&app, &caller, &fqn, &body, overwrite)?;
    if let Some(Binding { namespace, name }) = &put.binding {
        match check_read(&app, &caller, namespace, name).await {
            Err(Denial::NoPackage) => return Err(PackageError::NoProvider.into()),
            Err(Denial::NotAPackage) => return Err(PackageError::ProviderIsOther.into()),
            checked => checked?,
        }
    }
    let package = app.packages.put(&fqn, put, overwrite).await?;
    if app.config.feature_flags.require_response_payload {
        Ok(answer::json(&PackageView::from(&package)))
    } else {
        Ok(answer::text("OK"))
    }
}

/// `DELETE …/packages/{name}`
pub async fn delete(app: Data, caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = entitled(&app, &caller, &request, Right::Delete).await?;
    let force = Query::of(&request)?.flag("force", false)?;
    let contents = if force { Contents::Deleted } else { Contents::Kept };
    let package = app.packages.delete(&fqn, contents).await?;
    if app.config.feature_flags.require_response_payload {
        Ok(answer::json(&PackageView::from(&package)))
    } else {
        Ok(HttpResponse::NoContent().finish())
    }
}

/// `POST …/packages/{name}`: nothing is done with a package but read and written. `wsk package refresh` asks
/// for more, and reads upstream's answer.
pub async fn post(caller: Caller, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let fqn = Place::of(&request, &caller)?.action()?;
    match fqn.name.as_str() {
        "refresh" => Err(ApiError::Forbidden(fqn.id())),
        _ => Err(ApiError::MethodNotAllowed("GET, PUT, DELETE")),
    }
}

/// The package that a request names, if the caller may write it.
async fn entitled(app: &App, caller: &Caller, request: &HttpRequest, right: Right) -> Result<Fqn, ApiError> {
    let fqn = Place::of(request, caller)?.action()?;
    let resource = Resource { namespace: &fqn.namespace(), package: None, name: Some(fqn.name.as_str()) };
    app.entitlement.check(&caller.identity, right, &resource).await?;
    Ok(fqn)
}

async fn check_read(
    app: &App,
    caller: &Caller,
    namespace: &EntityName,
    package: &EntityName,
) -> Result<(), Denial> {
    let resource = Resource { namespace, package: Some(package), name: None };
    app.entitlement.check(&caller.identity, Right::Read, &resource).await
}

/// Takes a body apart and measures it. The query's fault is told between those of the body.
fn bind(
    app: &App,
    caller: &Caller,
    fqn: &Fqn,
    body: &Bytes,
    overwrite: Result<bool, ApiError>,
) -> Result<(PackagePut, Overwrite), ApiError> {
    let draft = Draft::read(body)?;
    draft.check_sizes(parameter_size(&app.config, &caller.identity.limits))?;
    let overwrite = Overwrite::of(overwrite?);
    Packages::check_name(fqn)?;
    Ok((PackagePut::bind(draft, &fqn.namespace())?, overwrite))
}

/// A package as PUT and DELETE answer it.
#[derive(Serialize)]
struct PackageView<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    binding: BindingView<'a>,
    parameters: &'a Parameters,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    updated: Millis,
}

impl<'a> From<&'a Package> for PackageView<'a> {
    fn from(package: &'a Package) -> Self {
        Self {
            namespace: &package.namespace,
            name: &package.name,
            binding: BindingView { binding: package.binding.as_ref(), absent: Absent::Object },
            parameters: &package.parameters,
            version: package.version,
            publish: package.publish,
            annotations: &package.annotations,
            updated: package.updated,
        }
    }
}

/// A package as GET answers it.
#[derive(Serialize)]
struct FilledView<'a> {
    #[serde(flatten)]
    package: PackageView<'a>,
    actions: Vec<ItemView<'a>>,
    feeds: Vec<ItemView<'a>>,
}

impl<'a> From<&'a Filled> for FilledView<'a> {
    fn from(Filled { package, actions }: &'a Filled) -> Self {
        let (feeds, actions): (Vec<_>, Vec<_>) =
            actions.iter().partition(|action| action.annotations.get(FEED).is_some());
        let view = |actions: Vec<&'a Action>| actions.into_iter().map(ItemView::from).collect();
        Self { package: package.into(), actions: view(actions), feeds: view(feeds) }
    }
}

/// An action as its package shows it.
#[derive(Serialize)]
struct ItemView<'a> {
    name: &'a EntityName,
    version: SemVer,
    annotations: &'a Parameters,
}

impl<'a> From<&'a Action> for ItemView<'a> {
    fn from(action: &'a Action) -> Self {
        Self { name: &action.name, version: action.version, annotations: &action.annotations }
    }
}

/// A package as a list shows it.
#[derive(Serialize)]
struct PackageSummary<'a> {
    namespace: &'a EntityPath,
    name: &'a EntityName,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    binding: BindingView<'a>,
    updated: Millis,
}

impl<'a> From<&'a Package> for PackageSummary<'a> {
    fn from(package: &'a Package) -> Self {
        Self {
            namespace: &package.namespace,
            name: &package.name,
            version: package.version,
            publish: package.publish,
            annotations: &package.annotations,
            binding: BindingView { binding: package.binding.as_ref(), absent: Absent::False },
            updated: package.updated,
        }
    }
}

/// What a package is bound to, or how it is said that it is not.
struct BindingView<'a> {
    binding: Option<&'a Binding>,
    absent: Absent,
}

/// How it is said that a package is no binding.
enum Absent {
    /// `{}`
    Object,
    /// `false`
    False,
}

impl Serialize for BindingView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.binding, &self.absent) {
            (Some(binding), _) => binding.serialize(serializer),
            (None, Absent::Object) => serializer.collect_map(std::iter::empty::<(&str, bool)>()),
            (None, Absent::False) => serializer.serialize_bool(false),
        }
    }
}
