//! The four dialects behind one face: their tables, the check that settings make valid options, and their lints.

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Flag, InvalidOption, Settings, consul, istio, kuma, linkerd, lint::Lint};

/// The options of a mesh.
pub(crate) fn flags(mesh: Mesh) -> &'static [Flag] {
    match mesh {
        Mesh::Istio => istio::FLAGS,
        Mesh::Linkerd => linkerd::FLAGS,
        Mesh::Kuma => kuma::FLAGS,
        Mesh::Consul => consul::FLAGS,
    }
}

/// What the options say beyond their values.
fn parse(mesh: Mesh, settings: &Settings) -> Result<Vec<Lint>, InvalidOption> {
    match mesh {
        Mesh::Istio => istio::Options::from_settings(settings).map(|options| istio::lints(&options)),
        Mesh::Linkerd => linkerd::Options::from_settings(settings).map(|options| linkerd::lints(&options)),
        Mesh::Kuma => kuma::Options::from_settings(settings).map(|options| kuma::lints(&options)),
        Mesh::Consul => consul::Options::from_settings(settings).map(|options| consul::lints(&options)),
    }
}

/// Checks settings as the dialect itself will read them.
///
/// # Errors
/// Every option that is not accepted, not only the first: each is put back to its default and the rest read again.
pub(crate) fn check(mesh: Mesh, settings: &Settings) -> Result<Vec<Lint>, Vec<InvalidOption>> {
    let mut trial = settings.clone();
    let mut problems: Vec<InvalidOption> = Vec::new();
    loop {
        match parse(mesh, &trial) {
            Ok(lints) if problems.is_empty() => return Ok(lints),
            Ok(_) => return Err(problems),
            Err(problem) if problems.iter().any(|known| known.option == problem.option) => {
                return Err(problems);
            }
            Err(problem) => {
                trial.reset(problem.option);
                problems.push(problem);
            }
        }
    }
}
