//! The control plane: domains and access certificates, in the shapes of `OVHcloud`'s central API where it has them.

mod resource;

use super::{Effect, Handler, Operation, Route, Rows};
use crate::auth::Action;

/// What is asked of one domain.
pub(super) static DOMAIN: Rows = Rows {
    bases: &["/v2/okms/resource/{okmsId}"],
    routes: &[
        Route {
            methods: &["POST"],
            pattern: "/credential",
            operation: &Operation {
                id: "PostCredential",
                effect: Effect::Write,
                actions: &[Action::CredentialCreate],
                handler: Handler::Tenant(|context, permit, call| {
                    Box::pin(async move { Ok(resource::create_credential(context, permit, call).await?) })
                }),
            },
        },
        Route {
            methods: &["GET"],
            pattern: "",
            operation: &Operation {
                id: "GetResource",
                effect: Effect::Read,
                actions: &[Action::DomainGet],
                handler: Handler::Tenant(|context, permit, _| {
                    Box::pin(async move { Ok(resource::get_domain(context, permit).await?) })
                }),
            },
        },
    ],
};

/// What is asked of the region.
pub(super) static REGION: Rows = Rows {
    bases: &["/v2/okms/resource"],
    routes: &[
        Route {
            methods: &["GET"],
            pattern: "",
            operation: &Operation {
                id: "ListResources",
                effect: Effect::Read,
                actions: &[Action::DomainGet],
                handler: Handler::Region(|context, permit, call| {
                    Box::pin(async move { Ok(resource::list_domains(context, permit, call).await?) })
                }),
            },
        },
        Route {
            methods: &["POST"],
            pattern: "",
            operation: &Operation {
                id: "PostResource",
                effect: Effect::Write,
                actions: &[Action::DomainCreate],
                handler: Handler::Region(|context, permit, call| {
                    Box::pin(async move { Ok(resource::create_domain(context, permit, call).await?) })
                }),
            },
        },
    ],
};
