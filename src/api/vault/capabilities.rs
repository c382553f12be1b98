//! What somebody may do at paths.

use std::collections::HashSet;

use super::{
    super::{Failed, Problem, Reply, json::ObjectWriter},
    address::{collapse, is_of_server},
    asked::Asked,
    auth::{self, Named},
    envelope,
    fields::{self, Fields},
};

/// The most paths of one question about capabilities.
const PATHS_MAX: usize = 1000;

/// What somebody may do at paths: everything below a mount, as there are no policies yet; nothing
/// where nothing is. Who has a token may do what its certificate may, so that of one who is named
/// it matters alone whether the token is good.
pub(super) async fn of(asked: &Asked<'_>, named: Named) -> Result<Reply, Failed> {
    const ALL: [&str; 6] = ["create", "delete", "list", "patch", "read", "update"];
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut paths = fields.texts("paths")?;
    paths.extend(fields.texts("path")?);
    if paths.is_empty() || paths.len() > PATHS_MAX {
        return Err(Problem::NoPaths.into());
    }
    match auth::check_named(asked, named, &mut fields).await {
        // The certificate asks about itself.
        Err(Failed { problem: Problem::PermissionDenied, .. }) if named == Named::Own => {}
        Err(Failed { problem: Problem::BadToken, .. }) => return Err(Problem::InvalidToken.into()),
        good => good?,
    }
    let config = context.service.mounts.config(permit).await?;
    let (mut answers, mut known): (Vec<(&str, &[&str])>, _) = (Vec::new(), HashSet::new());
    for path in paths.iter().filter(|path| known.insert(path.as_str())) {
        let clean = collapse(path)?;
        let may = config.mount_above(&clean).is_some() || is_of_server(&clean);
        answers.push((path, if may { &ALL } else { &["deny"] }));
    }
    let write = |out: &mut ObjectWriter<'_>, taken: &[&str]| {
        for (path, may) in
            answers.iter().filter(|(path, _)| *path != "capabilities" && !taken.contains(path))
        {
            out.texts(path, may.iter().copied());
        }
        if let [(_, may)] = answers.as_slice() {
            out.texts("capabilities", may.iter().copied());
        }
    };
    // A path may be named like a member of the envelope.
    Ok(envelope::beside_top_level(
        call,
        |out| write(out, &[]),
        |out| write(out, &envelope::MEMBERS),
    ))
}
