//! Which address leads to which operation, in all dialects: the tables and the router alone, without
//! a server.

use hyper::Method;
use okmsd::{
    api::{DIALECTS, Params},
    http::{Match, Router},
    model::VersionNumber,
};

/// What a request asks for, and the parameters in its path.
fn find(method: &str, path: &str) -> Option<(&'static str, Params)> {
    let (router, uri) = (Router::new(DIALECTS, |_, _| Some(())), path.parse().unwrap());
    let (routes, address) = router.address(&method.parse().unwrap(), &uri)?;
    let Match::Operation(operation, (), captures) = routes.find(&address) else { return None };
    if address.fault.is_some() {
        return None;
    }
    Some((operation.id, routes.dialect.params(&address, &captures).ok()?))
}

#[test]
fn paths_and_sub_resources() {
    let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
    for base in [format!("/api/{id}/v2/secret"), format!("/v2/okms/resource/{id}/secret")] {
        for (rest, operation, path, version) in [
            ("", "ListSecretV2", None, None),
            ("/", "ListSecretV2", None, None),
            ("/foo%2Fbar", "GetSecretV2", Some("foo/bar"), None),
            ("/foo/bar", "GetSecretV2", Some("foo/bar"), None),
            ("/foo%2Fversion", "GetSecretV2", Some("foo/version"), None),
            ("/foo%2fversion%2F3", "GetSecretV2", Some("foo/version/3"), None),
            ("/version", "GetSecretV2", Some("version"), None),
            ("/version/version", "ListSecretVersionV2", Some("version"), None),
            ("/foo/bar/version", "ListSecretVersionV2", Some("foo/bar"), None),
            ("/foo%2Fbar/version", "ListSecretVersionV2", Some("foo/bar"), None),
            ("/foo/bar/version/12", "GetSecretVersionV2", Some("foo/bar"), Some(12)),
            ("/foo/version/latest", "GetSecretV2", Some("foo/version/latest"), None),
            ("/version/3", "GetSecretV2", Some("version/3"), None),
            ("/a:b=c@d", "GetSecretV2", Some("a:b=c@d"), None),
        ] {
            let (id, params) = find("GET", &format!("{base}{rest}")).unwrap();
            let found = (
                id,
                params.path.map(|path| path.to_string()),
                params.version.map(VersionNumber::get),
            );
            assert_eq!(found, (operation, path.map(str::to_owned), version), "{rest}");
        }
        assert_eq!(find("POST", &format!("{base}/")).unwrap().0, "PostSecretV2");
        for wrong in [
            "/foo/",
            "//foo",
            "/foo//bar",
            "/..",
            "/a/%2e%2e/b",
            "/%",
            "/a%00",
            "/a%2E",
            "/.",
            "/foo/version/0",
            "/foo/version/24001",
            "/foo/version/99999999999",
        ] {
            assert!(find("GET", &format!("{base}{wrong}")).is_none(), "{wrong}");
        }
    }
}

#[test]
fn the_bases_of_the_vault_dialect() {
    for base in ["/api/x/v1", "/v1/api/x", "/v1", "//v1//api/x/"] {
        for (method, rest, id, mount, name) in [
            ("GET", "/secret/data/a/b", "GetSecretRequest", "secret", "a/b"),
            ("GET", "/secret/data/a%2Fdata%2Fb", "GetSecretRequest", "secret", "a/data/b"),
            ("PUT", "/team/x/data/a/", "PostSecretRequest", "team/x", "a"),
            ("LIST", "/secret/metadata", "ListSecretsMetadata", "secret", ""),
            ("LIST", "/secret/metadata/", "ListSecretsMetadata", "secret", ""),
            ("LIST", "/secret/metadata/a/", "GetSecretsMetadata", "secret", "a"),
            ("SCAN", "/secret/detailed-metadata", "ListDetailedMetadata", "secret", ""),
            ("POST", "/secret/config", "PostSecretConfig", "secret", ""),
            ("GET", "/secret/config/x", "VaultUnrouted", "secret", "secret/config/x"),
            ("GET", "/secret/foo", "VaultUnrouted", "", "secret/foo"),
            ("GET", "/secret", "VaultUnrouted", "", "secret"),
            ("GET", "/sys/health", "VaultHealth", "", ""),
            ("GET", "/sys/mounts/", "VaultMounts", "", ""),
            ("POST", "/sys/mounts/a/b", "VaultEnable", "", "a/b"),
            ("POST", "/sys/mounts/a/b/tune", "VaultTune", "", "a/b"),
            ("GET", "/sys/internal/ui/mounts/secret/data/x", "VaultUiMount", "", "secret/data/x"),
            ("PUT", "/auth/cert/login", "VaultLogin", "", ""),
            ("PUT", "/auth/cert/certs/x", "VaultWriteCertRole", "", "x"),
            ("PUT", "/auth/cert/x", "VaultNotServed", "", "x"),
            ("GET", "/sys/nothing", "VaultUnrouted", "", "sys/nothing"),
        ] {
            let (found, params) = find(method, &format!("{base}{rest}")).unwrap();
            let name_found = params.name.as_deref().unwrap_or_default();
            let tenant = params.address.tenant.is_some();
            assert_eq!(
                (found, params.address.mount(), name_found),
                (id, mount, name),
                "{method} {base}{rest}"
            );
            assert_eq!(tenant, base != "/v1");
        }
        assert!(find("HEAD", &format!("{base}/secret/data/a")).is_none());
    }
}

#[test]
fn methods_and_nothing() {
    let router = Router::new(DIALECTS, |_, _| Some(()));
    let uri = "/api/x/v2/secret/foo/version/3".parse().unwrap();
    let (routes, address) = router.address(&Method::DELETE, &uri).unwrap();
    let Match::Methods(methods) = routes.find(&address) else { panic!("a version of a secret") };
    assert_eq!(
        methods.iter().map(|(method, ..)| method.as_str()).collect::<Vec<_>>(),
        ["GET", "PUT"]
    );
    for nowhere in
        ["/api", "/api/x/v3/secret", "/swaggerx", "/openapi.json/x", "/api/x/v2/secretconfig"]
    {
        assert!(find("GET", nowhere).is_none(), "{nowhere}");
    }
    for (path, id) in [
        ("/swagger", "Swagger"),
        ("/swagger/", "SwaggerAsset"),
        ("/swagger/init.js", "SwaggerAsset"),
    ] {
        assert_eq!(find("GET", path).unwrap().0, id, "{path}");
    }
}
