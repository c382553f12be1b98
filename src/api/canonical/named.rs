//! What a URI names: the secret in the domain, and the view through which it is named.

pub(super) use super::super::bearer::enter as settle;
use super::{
    super::{Context, Failed, Problem},
    in_file, words,
};
use crate::{
    auth::{Detail, Permit},
    model::{
        Fragment, Invalid, MountPath, Scheme, SecretPath, SecretUri, SecretUriPrefix, View,
        secret_resource,
    },
    service::Through,
};

/// A secret, or a part of its value, that a URI names.
pub(super) struct Named {
    pub(super) uri: SecretUri,
    pub(super) path: SecretPath,
    view: View,
}

impl Named {
    /// What this URI names in the domain; a part of a value that it names is told to whoever sees the request.
    pub(super) async fn of(context: &Context, permit: &Permit, text: &str) -> Result<Self, Failed> {
        let named = Self::untold(context, permit, text).await?;
        named.tell(permit);
        Ok(named)
    }

    /// Tells whoever sees what is done by this permit that a part of a value is meant, if one is.
    pub(super) fn tell(&self, permit: &Permit) {
        if let Some(fragment) = self.fragment() {
            let name = secret_resource(&self.path, Some(fragment));
            permit.learns(Detail::Part(self.path.as_str(), &name));
        }
    }

    /// What this URI names, of which nobody is told.
    pub(super) async fn untold(
        context: &Context,
        permit: &Permit,
        text: &str,
    ) -> Result<Self, Failed> {
        let uri: SecretUri = text.parse()?;
        let Place { mount, view } = Place::of(context, permit, uri.scheme(), uri.path()).await?;
        let name = mount.name_below(uri.path()).ok_or_else(|| {
            let text = "the URI names a mount and no secret; write it as openbao+kv2://mount/path";
            Problem::IllegalSegment.with(&[text])
        })?;
        let path = view.secret(name).map_err(illegal)?;
        Ok(Self { uri, path, view })
    }

    pub(super) const fn through(&self) -> Through<'_> {
        Through { path: &self.path, view: &self.view }
    }

    pub(super) fn fragment(&self) -> Option<&Fragment> {
        self.uri.fragment()
    }

    /// The URI, in the words of an answer.
    pub(super) fn text(&self) -> String {
        self.uri.canonical()
    }

    /// It, if no version is asked for.
    pub(super) fn unpinned(self) -> Result<Self, Failed> {
        const TEXT: &str =
            "the URI names a version; only reads, keys and the source of a copy take one";
        match self.uri.version() {
            Some(_) => Err(Problem::VersionPinNotAllowed.with(&[TEXT])),
            None => Ok(self),
        }
    }

    /// It, if a whole secret is named.
    pub(super) fn whole(self) -> Result<Self, Failed> {
        const TEXT: &str =
            "this is about a secret as a whole; leave out # of the URI and what follows";
        match self.fragment() {
            Some(_) => Err(Problem::FragmentNotAllowed.with(&[TEXT])),
            None => Ok(self),
        }
    }
}

/// A secret with all that there is of it, or all secrets in a folder, whose URI ends in a slash.
pub(super) struct Whole {
    /// The URI, in the words of an answer.
    pub(super) text: String,
    /// Its name in the domain; of a folder it ends in a slash, and of the domain itself it is empty.
    pub(super) name: String,
    pub(super) view: View,
}

impl Whole {
    /// What this URI names in the domain.
    pub(super) async fn of(context: &Context, permit: &Permit, text: &str) -> Result<Self, Failed> {
        let path = text.split(['#', '?']).next().unwrap_or_default();
        if !path.ends_with('/') {
            let named = Named::untold(context, permit, text).await?.unpinned()?.whole()?;
            let (text, name) = (named.text(), named.path.as_str().to_owned());
            return Ok(Self { text, name, view: named.view });
        }
        let uri: SecretUriPrefix = text.parse()?;
        let Place { mount, view } = Place::of(context, permit, uri.scheme(), uri.path()).await?;
        let folder = mount.name_below(uri.path()).unwrap_or_default();
        let name = view.folder(folder.trim_end_matches('/'));
        Ok(Self { text: uri.canonical(), name, view })
    }
}

fn illegal(Invalid(text): Invalid) -> Failed {
    Problem::IllegalSegment.with(&[text])
}

/// A mount, and what it shows.
struct Place {
    mount: MountPath,
    view: View,
}

impl Place {
    async fn of(
        context: &Context,
        permit: &Permit,
        scheme: Scheme,
        path: &str,
    ) -> Result<Self, Failed> {
        if scheme == Scheme::Yaml {
            let _its_own = in_file::of_domain(context, permit)?;
            return Err(in_file::not_in_files());
        }
        let config = context.service.mounts.config(permit).await.map_err(words::of)?;
        let mount = config.mount_above(path).filter(|mount| context.uris.allow(mount));
        let mount = mount.ok_or(Problem::MountMismatch)?;
        let view = config.view(&mount).ok_or(Problem::MountMismatch)?;
        Ok(Self { mount, view })
    }
}

/// What the URIs of several secrets begin with.
pub(super) struct Below {
    scheme: Scheme,
    mount: MountPath,
    /// What all paths in the mount begin with, in the domain.
    folder: String,
    /// What the paths begin with, in the domain.
    pub(super) prefix: String,
}

impl Below {
    /// What this URI begins.
    pub(super) async fn of(context: &Context, permit: &Permit, text: &str) -> Result<Self, Failed> {
        let uri: SecretUriPrefix = text.parse()?;
        let Place { mount, view } = Place::of(context, permit, uri.scheme(), uri.path()).await?;
        let name = mount.name_below(uri.path()).unwrap_or_default();
        let folder = view.folder("");
        Ok(Self { scheme: uri.scheme(), prefix: format!("{folder}{name}"), mount, folder })
    }

    /// What is in this mount and begins so.
    pub(super) async fn in_mount(
        context: &Context,
        permit: &Permit,
        mount: &str,
        name: &str,
    ) -> Result<Self, Failed> {
        let scheme = Scheme::OpenBao;
        let Place { mount: found, view } = Place::of(context, permit, scheme, mount).await?;
        if found.as_str() != mount.trim_end_matches('/') {
            return Err(Problem::MountMismatch.into());
        }
        let folder = view.folder("");
        Ok(Self { scheme, prefix: format!("{folder}{name}"), mount: found, folder })
    }

    /// The URI of one of the secrets.
    pub(super) fn uri(&self, path: &SecretPath) -> Option<String> {
        let name = path.as_str().strip_prefix(&self.folder)?.parse().ok()?;
        Some(SecretUri::of(self.scheme, &self.mount, &name).canonical())
    }
}
