//! The control plane: domains and access certificates, in the shapes of `OVHcloud`'s central API
//! where it has them.

mod resource;

use super::{Rows, operation::row};
use crate::auth::Action::{CredentialCreate, DomainCreate, DomainGet};

/// What is asked of one domain.
#[rustfmt::skip]
pub(super) static DOMAIN: Rows = Rows {
    bases: &["/v2/okms/resource/{okmsId}"],
    routes: &[
        row!(&["POST"], "/credential", "PostCredential", Write, &[CredentialCreate], Tenant(resource::create_credential)),
        row!(&["GET"], "", "GetResource", Read, &[DomainGet], Tenant(resource::get_domain)),
    ],
};

/// What is asked of the region.
pub(super) static REGION: Rows = Rows {
    bases: &["/v2/okms/resource"],
    routes: &[
        row!(&["GET"], "", "ListResources", Read, &[DomainGet], Region(resource::list_domains)),
        row!(
            &["POST"],
            "",
            "PostResource",
            Write,
            &[DomainCreate],
            Region(resource::create_domain)
        ),
    ],
};
