//! The namespaces of the caller.

use reqwest::Method;
use serde_json::json;
use tests::whisk::Whisk;

#[tokio::test]
async fn cases_038_039_there_is_one_namespace() {
    let me = Whisk::shared().await.namespace().await;
    for path in ["/api/v1/namespaces", "/api/v1/namespaces/"] {
        assert_eq!(me.get(path).await.expect(200).json(), json!([me.name]));
    }
}

#[tokio::test]
async fn case_040_a_namespace_is_no_resource() {
    let me = Whisk::shared().await.namespace().await;
    for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
        me.request(method, format!("/api/v1/namespaces/{}", me.name)).await.expect(404);
    }
}
