//! Where the API is described. Whether the descriptions are right is the suite `properties`'.

use tests::whisk::Whisk;

#[tokio::test]
async fn cases_007_008_the_descriptions_are_swagger() {
    let whisk = Whisk::shared().await;
    for path in ["/api/v1/api-docs", "/api-docs"] {
        let description = whisk.anonymous().get(path).await.expect(200).json();
        assert_eq!(description["swagger"], "2.0", "{path}");
        assert!(description["paths"].as_object().is_some_and(|paths| !paths.is_empty()), "{path}");
    }
}

#[tokio::test]
async fn cases_009_010_the_pages_are_elsewhere() {
    let whisk = Whisk::shared().await;
    for (path, location) in
        [("/docs", "docs/index.html?url=/api-docs"), ("/api/v1/docs", "docs/index.html?url=/api/v1/api-docs")]
    {
        let answer = whisk.anonymous().get(path).await.expect(308);
        assert_eq!(answer.header("location"), Some(location), "{path}");
    }
}
