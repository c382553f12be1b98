//! The control plane.

use serde_json::{Value, json};

use super::{CONTROL, CREATED, EXAMPLE_ID, Operation, answer, body, page, urn};

const CSR: &str = "-----BEGIN CERTIFICATE REQUEST-----\nMIHs…\n-----END CERTIFICATE REQUEST-----\n";

pub(super) fn get_domain() -> Operation {
    Operation {
        tag: CONTROL,
        summary: "Show a domain",
        text: "The domain with its names and addresses.",
        parameters: &[],
        body: None,
        success: answer("The domain.", "Resource", &resource()),
        problems: &[],
    }
}

pub(super) fn create_credential() -> Operation {
    Operation {
        tag: CONTROL,
        summary: "Issue an access certificate",
        text: "A certificate of the region's authority for the domain. Without `csr`, a private key is made and \
               told this once: it is stored nowhere.",
        parameters: &[],
        body: Some(body(
            "PostCredentialRequest",
            &[
                ("newKey", json!({ "name": "backend", "validity": 90 })),
                ("newRsaKey", json!({ "name": "legacy backend", "certificateType": "RSA" })),
                ("ownKey", json!({ "name": "backend", "csr": CSR })),
            ],
        )),
        success: answer(
            "The certificate. Keep the private key: it is not shown again.",
            "PostCredentialResponse",
            &json!({
                "certificatePEM": "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n",
                "certificateType": "ECDSA",
                "createdAt": CREATED,
                "expiredAt": "2025-04-02T03:04:05Z",
                "fromCSR": false,
                "name": "backend",
                "privateKeyPEM": "-----BEGIN PRIVATE KEY-----\nMIGH…\n-----END PRIVATE KEY-----\n",
                "status": "READY",
            }),
        ),
        problems: &["BadBody", "NoAuthority"],
    }
}

pub(super) fn list_domains() -> Operation {
    Operation {
        tag: CONTROL,
        summary: "List domains",
        text: "A page of all domains for an operator, its own domain for an access certificate. \
               `X-Pagination-Cursor-Next` is in the answer while there are more.",
        parameters: &["paginationSize", "paginationCursor"],
        body: None,
        success: page("The domains, by id.", "ListResourcesResponse", &json!([resource()])),
        problems: &["BadCursor"],
    }
}

pub(super) fn create_domain() -> Operation {
    Operation {
        tag: CONTROL,
        summary: "Create a domain",
        text: "A new domain with keys of its own, under a random id. No two domains have one name. `displayName` is taken \
               for `name` as well.",
        parameters: &[],
        body: Some(body("PostResourceRequest", &[("name", json!({ "name": "payments" }))])),
        success: answer("The new domain.", "Resource", &resource()),
        problems: &["BadBody", "DomainExists"],
    }
}

fn resource() -> Value {
    json!({
        "createdAt": CREATED,
        "iam": {
            "displayName": "payments",
            "id": EXAMPLE_ID,
            "urn": urn(""),
        },
        "id": EXAMPLE_ID,
        "name": "payments",
        "region": "eu-west-local",
        "restEndpoint": "https://localhost:8443",
        "swaggerEndpoint": "https://localhost:8443/swagger/",
    })
}
